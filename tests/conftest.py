"""What every test needs before Django's settings are read: a key, a token, and a data directory of its own."""

import os
from pathlib import Path

DATA_DIR = Path(__file__).parents[1] / "build" / "tests"

os.environ.setdefault("DATA_DIR", str(DATA_DIR))
os.environ.setdefault("SECRET_KEY", "only-for-tests")
os.environ.setdefault("API_TOKEN", "only-for-tests")
os.environ.setdefault("SERVED_OVER_HTTPS", "false")
Path(os.environ["DATA_DIR"], "static").mkdir(parents=True, exist_ok=True)
