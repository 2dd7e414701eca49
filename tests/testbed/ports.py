"""Free ports on loopback, below the range from which the kernel serves outgoing connections.

A port from `bind(0)` may be given to somebody's outgoing connection before the sidecar binds it; one from here is not.
"""

import os
import socket

FIRST, LAST = 10_000, 32_000
_next = FIRST + (os.getpid() * 97) % (LAST - FIRST)


def free_port() -> int:
    """A port that nothing on 127.0.0.1 listens on, and that this process has not handed out recently."""
    global _next
    for _ in range(LAST - FIRST):
        candidate = _next
        _next = FIRST if _next + 1 >= LAST else _next + 1
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return candidate
    raise RuntimeError(f"no free port between {FIRST} and {LAST}")
