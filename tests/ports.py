"""Ports for tests that have to name one before anybody listens there."""

from __future__ import annotations

import random
import socket


def free_port() -> int:
    """A port that nobody has; not of those from 32768 that the kernel deals out, which somebody may have by then."""
    while True:
        port = random.SystemRandom().randrange(20000, 32768)
        with socket.socket(socket.AF_INET6) as probe:  # of IPv4, too
            try:
                probe.bind(("::", port))
            except OSError:
                continue
            return port
