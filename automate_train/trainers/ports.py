"""A free port for a run, where several runs start side by side.

Covers: which ports a run tries, the first one on which nothing listens. Not: which runs need one.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

PORTS, APART, LAST_PORT = 200, 211, 65535
"""How many ports are tried; the distance of the next one from one that is taken (a prime: every port comes up)."""


def ports(first: int, index: int, at_once: int) -> list[int]:
    """The ports that a run may take, the first one to try at the front.

    One run at a time takes the first free one from `first` on. Of several at a time each run starts at a port of its
    own, because ports are chosen before the run before has opened its one; where that is taken it tries one far away,
    because the next one is another run's.
    """
    room = LAST_PORT + 1 - first
    if at_once < 2:
        return list(range(first, first + min(PORTS, room)))
    return [first + (index % PORTS + step * APART) % room for step in range(PORTS)]


def free_port(candidates: Sequence[int]) -> int | None:
    """The first port on which nothing listens."""
    for port in candidates:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                continue
        return port
    return None
