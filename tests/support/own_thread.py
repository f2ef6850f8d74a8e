"""A thread of one test for the synchronous code of a coroutine.

asgiref has one thread for all coroutines that `asyncio.run` runs, and it lives as long as the process: the connections
of one test would be those of the next.
"""

from collections.abc import Awaitable

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper


async def in_own_thread[T](awaited: Awaitable[T]) -> T:
    """Await it; what it calls with `sync_to_async` runs in one new thread, whose connections are closed at the end."""
    async with ThreadSensitiveContext():
        try:
            return await awaited
        finally:
            await sync_to_async(_close_connections)()


def _close_connections() -> None:
    for connection in connections.all(initialized_only=True):
        BaseDatabaseWrapper.close(connection)  # SQLite's own close() leaves a database in memory open
