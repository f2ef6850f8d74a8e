"""The events of a soak, in one table: what each does to the release, and which requests may fail because of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from tests.soak import migrating
from tests.soak.answers import NONE, Allowed
from tests.soak.images import Image
from tests.soak.kills import Kill, container_of, deleted, deleted_with_volume, sigkilled
from tests.soak.owners import OWNERS
from tests.soak.release import Release


@dataclass
class Moment:
    """The release when an event begins, and what the event has: the images that it deploys, and its random numbers."""

    release: Release
    alias: str
    images: Sequence[Image]
    random: Random
    acted_at: float = field(default_factory=time.time)

    def act(self) -> None:
        """Note the time: from here on the event has its effect."""
        self.acted_at = time.time()

    def pause(self, seconds: float) -> None:
        """Wait for a random part of the time."""
        time.sleep(self.random.uniform(0, seconds))


def upgraded(moment: Moment) -> None:
    """Upgrade to the next image, which may have a migration."""
    (image,) = moment.images
    moment.release.upgrade(image__tag=image.tag)
    moment.release.wait_until_healthy()


def values_changed(moment: Moment) -> None:
    """Change values of the service that touch no database server."""
    number = moment.random.randrange(10**6)
    moment.release.upgrade(podAnnotations__soak=str(number), threads=6 + number % 4)
    moment.release.wait_until_healthy()


def rolled_back(moment: Moment) -> None:
    """Go back to the revision before, as after a bad release."""
    moment.release.rollback()
    moment.release.wait_until_healthy()


def server_killed(kill: Kill, alias: str, moment: Moment) -> None:
    """Kill the server of an alias."""
    moment.pause(4)
    (pod,) = moment.release.pods("database", alias)
    moment.act()
    kill(moment.release.cluster, pod)
    moment.release.wait_until_healthy(replaced=container_of(pod))


def service_killed(kill: Kill, moment: Moment) -> None:
    """Kill one of the pods of the service."""
    moment.pause(4)
    pod = moment.random.choice(moment.release.pods("service"))
    moment.act()
    kill(moment.release.cluster, pod)
    moment.release.wait_until_healthy(replaced=container_of(pod))


def migration_killed(kill: Kill, moment: Moment) -> None:
    """Kill a migration in the middle. PostgreSQL rolls it back and the Job tries again; on MySQL somebody must look."""
    release, (image,), owner = moment.release, moment.images, OWNERS[moment.alias]
    release.upgrade(image__tag=image.tag)
    migrating.wait_for_pause(release, owner)
    moment.pause(3)
    (pod,) = release.pods("migration", owner.alias)
    moment.act()
    kill(release.cluster, pod)
    if owner.rolls_ddl_back:
        migrating.assert_whole(release, image, finished=False)
    else:
        migrating.assert_stopped(release, image)
        migrating.clear(release, image)
    release.wait_until_healthy()
    migrating.assert_whole(release, image, finished=True)


def upgraded_during_migration(moment: Moment) -> None:
    """Upgrade again while a migration of 20 seconds runs: it ends, and the new Job does the rest."""
    release, (first, second), owner = moment.release, moment.images, OWNERS[moment.alias]
    release.upgrade(image__tag=first.tag)
    migrating.wait_for_pause(release, owner)
    moment.pause(10)
    moment.act()
    release.upgrade(image__tag=second.tag)
    release.wait_until_healthy()
    for image in (first, second):
        migrating.assert_whole(release, image, finished=True)


@dataclass(frozen=True)
class Kind:
    """A kind of event. `pauses` has the pause of the migration of each image it deploys; None: without a migration."""

    name: str
    happen: Callable[[Moment], None]
    times: int
    times_small: int
    allowed: Allowed = NONE
    pauses: tuple[int | None, ...] = ()
    aliases: tuple[str, ...] = ("",)


# Without a primary nothing can be written. A client whose last write no standby is known to have, such as a write that
# the primary did not answer, must not read older rows.
_PRIMARY_GONE = Allowed(refused=frozenset({"write", "own read"}))
# The clients of a killed pod lose their connections, and Kubernetes sends it new ones until it has noticed.
_POD_GONE = Allowed(broken_seconds=5)
_OWNERS = ("default", "legacy", "analytics")

KINDS = (
    Kind("upgrade: image", upgraded, 7, 0, pauses=(None,)),
    Kind("upgrade: values", values_changed, 7, 1),
    Kind("upgrade: migration", upgraded, 6, 1, pauses=(0,), aliases=_OWNERS),
    Kind("rollback", rolled_back, 5, 1),
    Kind("primary: SIGKILL", partial(server_killed, sigkilled, "default"), 10, 1, _PRIMARY_GONE),
    Kind("primary: pod deleted", partial(server_killed, deleted, "default"), 10, 0, _PRIMARY_GONE),
    Kind("standby: SIGKILL", partial(server_killed, sigkilled, "replica"), 10, 0),
    Kind("standby: pod and volume deleted", partial(server_killed, deleted_with_volume, "replica"), 10, 1),
    Kind("migration: SIGKILL", partial(migration_killed, sigkilled), 10, 0, pauses=(25,), aliases=_OWNERS),
    Kind("migration: pod deleted", partial(migration_killed, deleted), 10, 1, pauses=(25,), aliases=_OWNERS),
    Kind("service: SIGKILL", partial(service_killed, sigkilled), 10, 1, _POD_GONE),
    Kind("service: pod deleted", partial(service_killed, deleted), 10, 0, _POD_GONE),
    Kind("upgrade during a migration", upgraded_during_migration, 2, 0, pauses=(20, 0), aliases=("default", "legacy")),
)
