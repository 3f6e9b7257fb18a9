"""How people are told what a run of each kind does, and what it keeps when it stops. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from yoloscale.system.formatting import counted


@dataclass(frozen=True)
class Wording:
    """Words for one kind of run.

    Args:
        done: participle of what is done with the run, as in `run 'x' is being trained already`.
        share: what `training` is called among the shares of its time (runs/goodput.py).
        stops: what its ranks do when they are asked to stop.
        keeps_checkpoints: whether it goes on from checkpoints, which have a step; else from the parts that are there.
    """

    done: str
    share: str
    stops: str
    keeps_checkpoints: bool = False

    def saved(self, count: int) -> str:
        """`step 40`, `12 parts`: how far a run has come for good. `count` as of `newest_saved`."""
        if self.keeps_checkpoints:
            return f"step {count}"
        return counted(count, "part") if count else "the beginning"

    def begins_from(self, count: int) -> str:
        """Where a run goes on from, as it is told to people."""
        if not count:
            return "the beginning"
        return f"the checkpoint of step {count}" if self.keeps_checkpoints else f"its {self.saved(count)}"

    @property
    def gains(self) -> str:
        """What would show that it got further."""
        return "a newer checkpoint" if self.keeps_checkpoints else "progress"


TRAIN = Wording("trained", "training", "the ranks save a checkpoint first", keeps_checkpoints=True)
_WORDINGS = {
    "predict": Wording("predicted", "predicting", "the ranks leave the units that they are at"),
    "val": Wording("evaluated", "evaluating", "the ranks leave the batches that they are at"),
}


def wording(kind: str) -> Wording:
    """The words for a kind of run, by its name in config/kinds.py."""
    return _WORDINGS.get(kind, TRAIN)
