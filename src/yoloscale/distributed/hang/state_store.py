"""Where the ranks tell each other what they are doing: keys in a c10d store, over a connection of its own.

Every call here crosses the network and may block for as long as the other end says nothing. A rank writes one key and
asks for one other every few seconds, `news`, which is there once a rank has failed or a hang was reported; only
one suspicious rank at a time, the observer, reads the states of all.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta

from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.group import SETUP_TIMEOUT_S
from yoloscale.distributed.hang.detect import State
from yoloscale.distributed.peers import Loss


class StateStore:
    """The keys of one job, as one rank uses them. Errors of the store (RuntimeError and its kin) pass through."""

    def __init__(self, store: Store, rank: int, world_size: int) -> None:
        self._store = PrefixStore("watchdog", store)
        self._rank, self._world_size = rank, world_size

    def publish(self, state: State) -> None:
        self._store.set(f"state/{self._rank}", json.dumps(asdict(state)))

    def read(self) -> list[State]:
        """The states of all ranks that have published one, in rank order."""
        keys = [f"state/{rank}" for rank in range(self._world_size)]
        if not self._store.check(keys):
            keys = [key for key in keys if self._store.check([key])]
        return [_parse(line) for line in self._store.multi_get(keys)]

    def observer(self, me: State) -> int:
        """The rank that looks at all: from now on this one, if there was none."""
        return int(self._store.compare_set("observer", "", str(me.rank)))

    def replace_observer(self, observer: int, me: State) -> None:
        """Observe in the place of `observer`, unless somebody was quicker."""
        self._store.compare_set("observer", str(observer), str(me.rank))

    def state_of(self, rank: int) -> State:
        return _parse(self._store.get(f"state/{rank}"))

    def report_first(self, message: str) -> bool:
        """End the job for all ranks; True on the one rank whose hang counts."""
        is_first = self._store.add("reports", 1) == 1
        if is_first:
            self._store.set("hang", message)
            self._store.set("news", "")
        return is_first

    def has_news(self) -> bool:
        """Whether a hang or a loss has been told."""
        return bool(self._store.check(["news"]))

    def hang(self) -> str | None:
        return self._store.get("hang").decode() if self._store.check(["hang"]) else None

    def tell_loss(self, loss: Loss) -> Loss:
        """Tell all ranks that one has failed; returns the loss that was told first, which is the one that counts."""
        first = self._store.compare_set("loss", "", json.dumps(asdict(loss)))
        self._store.set("news", "")
        return Loss(**json.loads(first))

    def loss(self) -> Loss | None:
        return Loss(**json.loads(self._store.get("loss"))) if self._store.check(["loss"]) else None

    def claim_rescue(self, rank: int) -> bool:
        """Whether this rank is the one that saves in the place of rank 0, which is gone: the first to ask."""
        return int(self._store.compare_set("saver", "", str(rank))) == rank

    def has_dumped(self) -> None:
        """Say that this rank's stacks are in its log."""
        self._store.add("dumped", 1)

    def dumped(self) -> int:
        """How many ranks' stacks are in their logs."""
        return self._store.add("dumped", 0)

    def release(self) -> None:
        """Let the ranks go that wait in the hope of more stacks."""
        self._store.set("end", "")

    def may_end(self) -> bool:
        return bool(self._store.check(["end"]))


def connect(ranks: Ranks) -> StateStore | None:
    """Called by every rank. A connection of its own to the store that the ranks meet in; None at world size 1.

    The store is found by MASTER_ADDR and MASTER_PORT, which torchrun sets, as does whoever starts ranks by hand.
    """
    if ranks.world_size == 1:
        return None
    timeout = timedelta(seconds=SETUP_TIMEOUT_S)
    store, _, _ = next(rendezvous("env://", ranks.rank, ranks.world_size, timeout=timeout))
    return StateStore(store, ranks.rank, ranks.world_size)


def _parse(line: bytes) -> State:
    return State(**json.loads(line))
