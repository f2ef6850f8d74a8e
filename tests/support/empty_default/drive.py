"""Send requests to the project and call commands in this process, and print the answers as JSON."""

import json
import re
import time
from io import StringIO
from typing import Any

import django
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client

django.setup()

from tests.support.empty_default.shop.models import Item  # noqa: E402 - as above

from switchyard.telemetry.metrics import layout  # noqa: E402 - needs the loaded apps

ROW = re.compile(r'<th scope="row">(\w+)</th>')
COMMANDS = (
    *("check", "routes", "replicas", "wait_migrated", "makemigrations --check --dry-run", "clearsessions"),
    *(
        "migrate",
        "showmigrations",
        "dumpdata",
        "loaddata no.json",
        "inspectdb",
        "dbshell",
        "sqlflush",
        "flush --no-input",
    ),
    *("createcachetable", "createcachetable --database=main", "testserver"),
)


def called(command: str) -> str:
    """Call the command, and return what it printed, or its error."""
    said = StringIO()
    try:
        call_command(*command.split(), stdout=said)
    except CommandError as error:
        return f"CommandError: {error}"
    return said.getvalue()


if __name__ == "__main__":
    client = Client(headers={"host": "localhost"}, raise_request_exception=False)
    client.force_login(get_user_model().objects.create(username="ada", is_staff=True))
    said: dict[str, Any] = {
        "readyz": client.get("/readyz").json(),
        "add": client.post("/add/good").content.decode(),
        "failed": client.post("/add/bad").status_code,
        "names": list(Item.objects.using("main").values_list("name", flat=True)),
        "where": client.get("/where").content.decode(),
        "console": list(dict.fromkeys(ROW.findall(client.get("/console/").content.decode()))),
        "metrics": sorted({value[0] for value in layout().families[0].axes[0].values}),
    }
    while not Item.objects.using("replica").exists():
        time.sleep(0.05)  # until the replica has replayed the item
    said["report"] = Client(headers={"host": "localhost"}).get("/report").content.decode()
    said["commands"] = {command: called(command) for command in COMMANDS}
    print(json.dumps(said))
