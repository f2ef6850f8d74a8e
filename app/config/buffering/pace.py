"""How long a client may take, and how much a worker keeps for its clients."""

import time

# A header must arrive within the grace period. A body, and the reading of a response, may take one second longer for
# each MIN_BYTES_PER_SECOND bytes. The rate is Apache's: https://httpd.apache.org/docs/2.4/mod/mod_reqtimeout.html
GRACE_SECONDS = 10.0
MIN_BYTES_PER_SECOND = 500
LINGER_SECONDS = 2.0  # from the end of the last response until the client closes its side

MAX_LINE_BYTES = 8 * 1024  # of a header, before gunicorn's parser looks at the line without its end
MAX_HEAD_BYTES = 64 * 1024
MAX_KERNEL_BYTES = 64 * 1024  # of a response that the kernel takes ahead of its reader; by itself it takes megabytes
MAX_UNSENT_BYTES = 1024 * 1024  # of one streamed response; the rest of another response is in memory anyway
MAX_BUFFERED_BYTES = 32 * 1024 * 1024  # of all clients of a worker


class Pace:
    """The deadline of a transfer, which moves with the transferred bytes."""

    def __init__(self) -> None:
        self.expires_at = time.monotonic() + GRACE_SECONDS

    def transferred(self, number: int) -> None:
        """Move the deadline by the number of bytes."""
        self.expires_at += number / MIN_BYTES_PER_SECOND
