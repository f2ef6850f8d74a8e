"""The size of modules: a module that grows beyond the limit holds more than one idea."""

from pathlib import Path

APP = Path(__file__).parents[2] / "app"
MAX_LINES = 300


def test_module__length() -> None:
    """No module of the service or of the package has more lines than the limit."""
    lengths = {str(path.relative_to(APP)): len(path.read_text().splitlines()) for path in APP.rglob("*.py")}

    assert "switchyard/apps.py" in lengths
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}
