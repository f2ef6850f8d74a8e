"""django-debug-toolbar: the panel of SQL statements."""

import re

from django.test import Client

from project.shop.models import Item


def test_sql_panel__shows_aliases(others, replay_paused):
    """The panel lists the queries of the page with their alias, and the page is read from the standby."""
    with others():
        Item.objects.create(name="shown in a page")
    client = Client()
    with replay_paused():
        page = client.get("/names").content.decode()
        store_id = re.search(r'data-(?:store|request)-id="(\w+)"', page)[1]
        panel = client.get("/__debug__/render_panel/", {"request_id": store_id, "panel_id": "SQLPanel"}).json()

    assert "shown in a page" in page
    assert "replica" in panel["content"]
    assert "shop_item" in panel["content"]
