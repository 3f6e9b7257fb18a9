"""The nodes of a run that may go on with fewer, seen from node 0: who takes part in the next attempt, who may join.

torchrun's own way of letting nodes join is not used: 2.14.1 ends both when one comes late, and its ranks would not
save. Here an attempt has fixed nodes. One that comes while it trains is told to node 0 by its answer; the ranks save
and stop, and the next attempt starts with all that are there.

| a node that | is |
| --- | --- |
| answers for the first time | taken into the next attempt |
| answers for SETTLE_S while others train | a reason to meet anew, once they have trained for REGROUP_PAUSE_S |
| was away before | the same, but has to stay twice as long each time, LONGEST_SETTLE_S at most |
| falls silent for LOST_S before the attempt trains | left out: the attempt would wait for it |
| falls silent while it trains | lost if its ranks are: these tell |
| joins a run that trained without it, and whose ranks cannot start | left out until its launcher is started again |
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from yoloscale.agent.presence import BEAT_S, Call, Sign, read
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.formatting import counted

FEWEST_TIMEOUT_S = 600.0  # how long node 0 waits for as many as it needs
LAST_CALL_S = 30.0  # how long it waits for more
LOOK_S = 1.0
FRESH_S = 3 * BEAT_S
LOST_S = 30.0
SETTLE_S = 10.0
LONGEST_SETTLE_S = 600.0
REGROUP_PAUSE_S = 60.0
POLL_S = 0.1


@dataclass
class _Node:
    """What node 0 knows of another one; times by the clock of node 0."""

    sign: Sign | None = None
    changed_at: float = -math.inf  # when its sign last changed
    since: float = math.inf  # when it came
    silent_s: float = math.inf  # while node 0 looked
    absences: int = 0  # after which it came again
    is_known: bool = False  # it took part in an attempt
    unfit: tuple[str, int] | None = None  # the launcher of it whose ranks could not start

    def on_look(self, sign: Sign | None, now: float, elapsed_s: float) -> None:
        """Take what is seen `elapsed_s` after the last look."""
        self.silent_s += elapsed_s
        if sign is None and self.sign is not None:  # it has taken its leave, or is read while it writes
            self.silent_s = max(self.silent_s, FRESH_S)
        if sign is None or sign == self.sign:
            return
        has_stayed = self.sign is not None and self.sign.launcher == sign.launcher and self.silent_s < LOST_S
        if not has_stayed:
            self.absences += int(self.sign is not None)
            self.since = now
        self.sign, self.changed_at, self.silent_s = sign, now, 0.0

    @property
    def is_there(self) -> bool:
        """Whether it speaks, and may take part."""
        return self.sign is not None and self.sign.launcher != self.unfit and self.silent_s < FRESH_S

    @property
    def settle_s(self) -> float:
        """How long it has to stay until it is counted on again."""
        return min(SETTLE_S * 2.0 ** min(self.absences - 1, 10), LONGEST_SETTLE_S) if self.absences else 0.0


class Members:
    """Node 0's view of the nodes of one start of a run. `clock` counts seconds."""

    def __init__(
        self,
        run: RunDirectory,
        *,
        nodes: int,
        fewest: int,
        start: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.nodes, self.fewest = nodes, fewest
        self._run, self._clock = run, clock
        self._own = Call(run, 0, uuid.uuid4().hex, start)
        self._others = {number: _Node() for number in range(1, nodes)}
        self._looked_at: float | None = None

    def look(self) -> None:
        """Say that node 0 is there, and look who else is, if it is time."""
        now = self._clock()
        if self._looked_at is not None and now - self._looked_at < LOOK_S:
            return
        elapsed_s = min(now - (self._looked_at if self._looked_at is not None else now), 3 * LOOK_S)
        self._looked_at = now
        self._own.beat()
        for number, node in self._others.items():
            sign = read(self._run, number)
            node.on_look(sign if sign is not None and sign.call == self._own.call else None, now, elapsed_s)

    def gather(self, is_asked_to_stop: Callable[[], bool]) -> tuple[int, ...] | None:
        """Wait for all nodes; the numbers of those that came, too few after FEWEST_TIMEOUT_S; None if asked to stop.

        Those that came before have to answer anew. With enough of them, others are waited for LAST_CALL_S.
        """
        started_at, enough_at = self._clock(), math.inf
        while not is_asked_to_stop():
            self.look()
            now, came = self._clock(), (0, *self._there(started_at))
            enough_at = min(enough_at, now) if len(came) >= self.fewest else math.inf
            if len(came) == self.nodes or now >= min(enough_at + LAST_CALL_S, started_at + FEWEST_TIMEOUT_S):
                return came
            time.sleep(POLL_S)
        return None

    def began(self, members: Sequence[int]) -> None:
        """The nodes have met for an attempt."""
        for number in set(members) & set(self._others):
            self._others[number].is_known = True

    def leave_out(self, number: int) -> None:
        """Count on a node no more, until its launcher is started again."""
        node = self._others[number]
        node.unfit = node.sign.launcher if node.sign is not None else None

    def is_back(self, number: int) -> bool:
        """Whether a node took part before."""
        return self._others[number].is_known

    def newcomers(self, members: Sequence[int]) -> list[int]:
        """Nodes that an attempt is without and that are there to stay."""
        now = self._clock()
        there = {number: node for number, node in self._others.items() if node.is_there and number not in members}
        return [number for number, node in there.items() if now - node.since >= max(SETTLE_S, node.settle_s)]

    def lost(self, members: Sequence[int]) -> list[int]:
        """Nodes that an attempt counts on and that are silent."""
        return [number for number in members if number in self._others and self._others[number].silent_s >= LOST_S]

    def close(self) -> None:
        self._own.close()

    def _there(self, since: float) -> list[int]:
        now = self._clock()
        there = {number: node for number, node in self._others.items() if node.is_there and node.changed_at >= since}
        return [number for number, node in there.items() if now - node.since >= node.settle_s]


class Regrouping:
    """Whether the nodes of one attempt are to meet anew; `cause` says why, once they are."""

    def __init__(self, members: Members, numbers: Sequence[int], say: Callable[[str], None]) -> None:
        self.cause = ""
        self.nodes = len(numbers)
        self._members, self._numbers, self._say = members, numbers, say
        self._training_since: float | None = None

    def is_due(self, *, is_training: bool) -> bool:
        """Whether the ranks are to save and stop for it; called all the time while the attempt goes on."""
        if self.cause:
            return True
        if not is_training:
            if lost := self._members.lost(self._numbers):
                self._decide(f"{named(lost)} gone before training began", self.nodes - len(lost))
            return bool(self.cause)
        now = time.monotonic()
        self._training_since = now if self._training_since is None else self._training_since
        if now - self._training_since >= REGROUP_PAUSE_S and (came := self._members.newcomers(self._numbers)):
            word = "back" if all(self._members.is_back(number) for number in came) else "there"
            self._decide(f"{named(came)} {word}", self.nodes + len(came))
        return bool(self.cause)

    def _decide(self, cause: str, nodes: int) -> None:
        self.cause, self.nodes = cause, nodes
        self._say(f"{cause}: to go on with {counted(nodes, 'node')}")


def named(numbers: Sequence[int]) -> str:
    """Nodes by their numbers, as the subject of a sentence."""
    if len(numbers) == 1:
        return f"node {numbers[0]} is"
    return f"nodes {', '.join(map(str, numbers[:-1]))} and {numbers[-1]} are"
