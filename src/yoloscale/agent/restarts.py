"""Whether a failed attempt is started again. Pure: restarts count until a newer checkpoint, or part, is there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from yoloscale.agent.outcome import Failure, Outcome
from yoloscale.exit_codes import FAILED
from yoloscale.runs.wording import TRAIN, Wording

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
OUT_OF_MEMORY = "OutOfMemoryError"
_CHECKPOINT = re.compile(r"step-(\d{9})")
DEVICE_FAULTS = (  # what CUDA, NVML and the driver say of a device that no program can mend
    "uncorrectable ecc",
    "ecc error",
    "uncorrectable nvlink",
    "fallen off the bus",
    "gpu is lost",
    "busy or unavailable",
    "cudaerrordevicesunavailable",
    "driver/library version mismatch",
)
_XID = re.compile(r"\bxid\b[ (:]")  # the driver's numbers of what befalls a GPU


@dataclass(frozen=True)
class Restarts:
    """Failures since the newest checkpoint changed: how many, from which step, and how the first of them came.

    One that is repeated is what is told in the end, in place of the first. Of a run that keeps parts in place of
    checkpoints, `step` is how many there are.
    """

    max_restarts: int
    count: int = 0
    step: int = 0
    first: Failure | None = None
    is_repeated: bool = False  # the last failure is the one before it once more, at the same step
    last: Failure | None = None
    words: Wording = TRAIN

    def after(self, failure: Failure, step: int) -> Restarts:
        """With one more failure, after which `step` is that of the newest checkpoint (0 without one).

        A step that grew is progress, and the count starts anew. One that shrank is none: a checkpoint was set aside.
        """
        is_repeated = self.last is not None and is_same(failure, self.last)
        if self.first is None or (step > self.step and not is_repeated):
            return replace(self, count=1, step=step, first=failure, is_repeated=False, last=failure)
        first = failure if is_repeated else self.first
        return replace(self, count=self.count + 1, first=first, is_repeated=is_repeated, last=failure)

    @property
    def are_used_up(self) -> bool:
        return self.count > self.max_restarts or self.is_repeated

    @property
    def pause_s(self) -> float:
        """Time to let pass before the next attempt: what fails at once, again and again, shall not burn the machine."""
        return min(FIRST_PAUSE_S * 2.0 ** min(self.count - 1, 10), LONGEST_PAUSE_S)

    @property
    def reason(self) -> str:
        """Why no more are tried, in words; empty where restarts were not wanted at all."""
        if self.max_restarts == 0:
            return ""
        if self.is_repeated and self.first is not None:
            return f"given up: it came again at step {self.first.at_step}, where it came before"
        times = "restart" if self.max_restarts == 1 else "restarts"
        return f"given up after {self.max_restarts} {times} from {self.words.saved(self.step)} without progress"


def may_restart(outcome: Outcome, was_training: bool) -> bool:
    """Whether it can be worth another attempt.

    What stopped on request, or has a bad config, is not started again. Nor is a rank that raised an error of its own
    before training started: nothing that changes by itself was involved yet, and what cannot start fails again.
    A rank that was killed, or lost the others, during set-up is.
    """
    failure = outcome.failure
    if outcome.exit_code != FAILED or failure is None:
        return False
    is_own_error = bool(failure.traceback) and not failure.collateral
    return was_training or not is_own_error


def is_same(failure: Failure, before: Failure) -> bool:
    """Whether an exception of a rank's own came again at the step where it came before: a third time is no use.

    An exception without a step does not count, as in a run that predicts: the unit that it ended twice is done another
    way the third time. Nor does what has no exception: a killed rank, a hang, a lost peer. Of a full GPU the numbers
    differ each time.
    """
    if not failure.traceback or failure.collateral or failure.at_step is None or failure.at_step != before.at_step:
        return False
    return failure.error == before.error or all(one.error.startswith(OUT_OF_MEMORY) for one in (failure, before))


def is_device_fault(error: str) -> bool:
    """Whether an error says that a device is broken, so that the same node fails again."""
    text = error.lower()
    return any(sign in text for sign in DEVICE_FAULTS) or _XID.search(text) is not None


def newest_step(names: Iterable[str]) -> int:
    """The step of the newest among the names of checkpoint folders; 0 without any."""
    return max((int(match[1]) for name in names if (match := _CHECKPOINT.fullmatch(name))), default=0)


def cause(failure: Failure) -> str:
    """A failure in one sentence, with rank and host."""
    if failure.collateral and not failure.is_told:  # nobody else said a word: its error tells which connection broke
        return f"{failure.who} lost its connection to another rank, which said nothing: its node may be down"
    return f"{failure.who}: {failure.error}"
