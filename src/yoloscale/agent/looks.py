"""When a launcher looks at a file system that many launchers share."""

from __future__ import annotations

import time

OFTEN_S = 0.1
SELDOM_S = 1.0
LIVELY_S = 10.0  # after something has happened


class Looks:
    """Looks often at first and whenever something has happened, later seldom: hundreds of nodes do so for days."""

    def __init__(self, often_s: float = OFTEN_S) -> None:
        self._often_s, self._next_at = often_s, 0.0
        self.happened()

    def happened(self) -> None:
        """What follows is to be seen soon."""
        self._lively_until = time.monotonic() + LIVELY_S

    def is_due(self) -> bool:
        """Whether it is time; the next one comes a while after that."""
        now = time.monotonic()
        if now < self._next_at:
            return False
        self.made()
        return True

    def made(self) -> None:
        """A look has just been had."""
        now = time.monotonic()
        self._next_at = now + (self._often_s if now < self._lively_until else SELDOM_S)
