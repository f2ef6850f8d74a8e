"""django-reversion: versions of instances that were loaded from the standby."""

import reversion
from django.contrib.auth.models import User
from django.test import Client
from reversion.models import Version

from project.shop.models import Page


def test_revision__of_an_instance_from_the_replica(others, replay_paused):
    """A revision records the new version on the owner, can be read at once, and can be reverted to."""
    with others(), reversion.create_revision():
        Page.objects.create(text="first")
    with replay_paused():
        page = Page.objects.get(text="first")
        loaded_from = page._state.db
        with reversion.create_revision():
            page.text = "second"
            page.save()
            reversion.set_comment("a change")
        versions = Version.objects.get_for_object(page)
        texts = [version.field_dict["text"] for version in versions]
        versions.last().revision.revert()

        assert loaded_from == "replica"
        assert texts == ["second", "first"]
        assert Page.objects.get(pk=page.pk).text == "first"


def test_recover__of_a_deleted_instance(others, replay_paused):
    """A deleted instance from the standby comes back from its last version."""
    with others(), reversion.create_revision():
        Page.objects.create(text="deleted")
    with replay_paused():
        Page.objects.get(text="deleted").delete()
        Version.objects.get_deleted(Page).filter(serialized_data__contains="deleted").get().revert()

        assert Page.objects.filter(text="deleted").exists()


def test_revision__has_the_user_of_the_request(others, replay_paused):
    """A revision of a request has the user of the request."""
    with others():
        writer = User.objects.create_user("reviser")
        page = Page.objects.create(text="old")
    client = Client()
    client.force_login(writer)
    with replay_paused():
        response = client.post(f"/change/page/{page.pk}", {"text": "new"})

        assert response.status_code == 200, response.content
        assert Version.objects.using("default").get_for_object(page).get().revision.user == writer
