"""Which ranks hang, found from what each of them last said of itself. Pure: no clock, no store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yoloscale.system.formatting import and_more, rank_name

NAMED = 4  # ranks whose state a message spells out


@dataclass(frozen=True)
class State:
    """What a rank says of itself.

    Args:
        phase: completes the sentence "it was …".
        waits: whether it can only go on when other ranks arrive.
        age_s: since when it has been in this phase without a sign of progress, by its own clock.
        limit_s: how long that may last.
        is_settled: whether it has done a first step; until then `limit_s` is that of a set-up.
        pulse: grows with every report; one that stands still is a process that runs no more.
    """

    rank: int
    host: str
    phase: str
    waits: bool
    step: int
    age_s: float
    limit_s: float
    is_settled: bool
    pulse: int


@dataclass(frozen=True)
class ObservedState:
    """A state as another rank sees it: its pulse has not moved for `silent_s`, or for longer."""

    state: State
    silent_s: float

    @property
    def age_s(self) -> float:
        return self.state.age_s + self.silent_s

    def is_over(self, me: State, stale_s: float) -> bool:
        """Whether it has had its time.

        What it says of itself counts as long as it speaks. When a silent one fell silent is not known, so it has as
        long as `me`, who looks, has waited for it.
        """
        since_s = me.age_s if self.silent_s >= stale_s else self.age_s
        return since_s >= self.limit_s(me, stale_s)

    def limit_s(self, me: State, stale_s: float) -> float:
        """How long it may take: what it says, unless that is outdated.

        A silent one that last spoke before its first step, which `me` has done with it, was no longer setting up.
        """
        is_outdated = self.silent_s >= stale_s and me.is_settled and not self.state.is_settled
        return me.limit_s if is_outdated else self.state.limit_s


@dataclass(frozen=True)
class Hang:
    """The ranks that did not arrive, and a sentence for people; no ranks if all wait for each other.

    `host` is that of the first one, where known. `answers` is False if one of them cannot dump its stacks itself.
    """

    ranks: tuple[int, ...]
    message: str
    host: str = ""
    answers: bool = True

    @property
    def predicate(self) -> str:
        """What is said of the first rank, without its name, which stands before whatever is told of a failure."""
        return self.message.removeprefix(f"{rank_name(self.ranks[0], self.host)} ") if self.ranks else self.message


def find_hang(me: State, observed_states: Sequence[ObservedState], stale_s: float, world_size: int) -> Hang | None:
    """Look as rank `me`, which has been in its phase for too long; None as long as somebody may still arrive.

    Args:
        observed_states: of all ranks that were ever heard of, `me` included.
        stale_s: a process that was silent for so long does not run.
    """
    if me.age_s < me.limit_s:
        return None
    step = max(observed.state.step for observed in observed_states)
    over = [observed for observed in observed_states if observed.is_over(me, stale_s)]
    late = [observed for observed in over if not observed.state.waits]
    if not late:
        if len(over) < len(observed_states):
            return None
        late = [observed for observed in observed_states if observed.silent_s >= stale_s]
        if missing := sorted(set(range(world_size)) - {observed.state.rank for observed in observed_states}):
            return Hang(tuple(missing), _never_came(missing, me))
        late = late or [observed for observed in observed_states if observed.state.step < step]  # everybody waits
    if not late:
        return Hang((), _all_wait(me, observed_states))
    sentences = [_sentence(observed, me, step, stale_s, alone=world_size == 1) for observed in late[:NAMED]]
    if len(late) > NAMED:
        sentences.append(f"and {len(late) - NAMED} more ranks")
    ranks = tuple(observed.state.rank for observed in late)
    answers = all(observed.silent_s < stale_s for observed in late)
    return Hang(ranks, "; ".join(sentences), late[0].state.host, answers)


def find_hang_alone(me: State, silent_s: float) -> Hang | None:
    """As `find_hang`, for a rank whose questions to the others have not been answered for `silent_s`."""
    if me.age_s < me.limit_s:
        return None
    if not me.waits:
        return find_hang(me, [ObservedState(me, 0.0)], 1.0, world_size=1)
    mine = f"{rank_name(me.rank, me.host)} has been {me.phase} at step {me.step} for {me.age_s:.0f} s"
    store = f"the store that the ranks meet in has not answered for {silent_s:.0f} s"
    return Hang((), f"{mine}, and {store}: the first node or rank 0 stands still or is gone")


def _never_came(missing: Sequence[int], me: State) -> str:
    names = and_more([f"rank {rank}" for rank in missing], NAMED)
    return f"{names} never reported within {me.limit_s:.0f} s: not started, or stuck before joining the others"


def _sentence(observed: ObservedState, me: State, step: int, stale_s: float, *, alone: bool) -> str:
    state = observed.state
    who = rank_name(state.rank, state.host)
    if alone:
        return f"{who} hangs at step {state.step}: it has been {state.phase} for {observed.age_s:.0f} s"
    start = f"{who} did not arrive at step {step} within {observed.limit_s(me, stale_s):.0f} s: "
    if observed.silent_s >= stale_s:
        causes = "stopped, stuck in native code, or its machine is gone"
        return f"{start}its process does not answer ({causes}); last heard of at step {state.step}, {state.phase}"
    where = "" if state.step == step else f" of step {state.step}"
    return f"{start}it was {state.phase}{where} for {observed.age_s:.0f} s"


def _all_wait(me: State, observed_states: Sequence[ObservedState]) -> str:
    names = and_more([rank_name(one.state.rank, one.state.host) for one in observed_states], NAMED)
    why = "the network between them is broken, or they are in different collectives: compare their stacks"
    return f"all ranks wait for each other at step {me.step} for {me.limit_s:.0f} s ({names}): {why}"
