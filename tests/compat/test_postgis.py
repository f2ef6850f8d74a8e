"""The PostGIS backend of Django: geographic fields and look-ups."""

from django.contrib.gis.geos import Point
from django.contrib.gis.measure import D

from project.places.models import Place

HERE = Point(8.54, 47.37, srid=4326)


def test_distance__on_the_replica(others, replay_paused):
    """A look-up by distance reads the standby; after a write it sees the client's own row."""
    with others():
        Place.objects.create(name="near", point=HERE)
    near = Place.objects.filter(point__distance_lt=(HERE, D(km=1)))
    with replay_paused():
        aliases = {place._state.db for place in near.all()}
        place = near.get(name="near")
        place.name = "moved"
        place.point = Point(8.55, 47.37, srid=4326)
        place.save()
        Place.objects.create(name="added", point=HERE)

        assert aliases == {"gis_replica"}
        assert sorted(near.values_list("name", flat=True)) == ["added", "moved"]
