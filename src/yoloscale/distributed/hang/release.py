"""Lets a main thread go that waits for ranks which never come: from a thread beside it, since it runs no Python."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from yoloscale.distributed.hang.abort import abort_collectives, can_abort
from yoloscale.distributed.hang.detect import State
from yoloscale.distributed.peers import Peers

STUCK_S = 5.0  # outside of collectives: it may stand behind one all the same, as whoever reads a number off a GPU does
RETURN_S = 20.0  # for a main thread to come back, once everything was done to let it


class Release:
    """Aborts this process's collectives once a rank is gone; `peers.loss` says so."""

    def __init__(self, peers: Peers, abort: Callable[[], None] = abort_collectives) -> None:
        self._peers, self._abort = peers, abort
        self._released_at: float | None = None

    def is_in_vain(self, mine: State, now_s: float) -> bool:
        """Abort when it is time to. Whether the main thread still waits long after that: only its end is left."""
        if self._peers.loss is None:
            return False
        if self._released_at is None:
            if mine.waits or mine.age_s >= STUCK_S:
                self._released_at = now_s
                threading.Thread(target=self._run, name="abort", daemon=True).start()
            return False
        return mine.waits and min(mine.age_s, now_s - self._released_at) >= RETURN_S

    def _run(self) -> None:
        """In a thread of its own: an abort may wait, too."""
        if can_abort():
            try:
                self._abort()
            except Exception as error:  # whatever a backend raises, this process is about to end
                print(f"the collectives could not be aborted: {error}", file=sys.stderr, flush=True)
