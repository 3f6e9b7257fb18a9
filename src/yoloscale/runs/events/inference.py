"""Events that only runs which predict or evaluate have, in the form of schema.py. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from yoloscale.runs.events.schema import Event


@dataclass(kw_only=True, eq=False, repr=False)
class PredictionStarted(Event, kind="prediction_started"):
    """The set-up of a run that predicts is over, its first unit follows. Written by rank 0."""

    attempt: int
    images: int  # rows of the manifest
    images_done: int  # of them in parts that are there already
    units: int
    units_done: int
    plan: str = ""
    precision: str = ""  # fp32 where nothing is said


@dataclass(kw_only=True, eq=False, repr=False)
class UnitDone(Event, kind="unit_done"):
    """A part is there. Written by the rank that made it; two may have made the same one."""

    attempt: int
    rank: int
    unit: int
    images: int
    seconds: float  # from its claim to its file


@dataclass(kw_only=True, eq=False, repr=False)
class EvaluationStarted(Event, kind="evaluation_started"):
    """The set-up of a run that evaluates is over, its first batch follows. Written by rank 0."""

    attempt: int
    images: int  # of the split
    plan: str = ""
    precision: str = ""  # fp32 where nothing is said


@dataclass(kw_only=True, eq=False, repr=False)
class Joined(Event, kind="joined"):
    """A rank takes part in a prediction, in which ranks do not meet. Written by each but rank 0, by late ones, too."""

    attempt: int  # that went on then
    rank: int  # of a late one, the attempt's world size or more
    host: str
    pid: int
    device: str  # cpu, cuda:0
    cpus: int  # the share of the machine that is its own


@dataclass(kw_only=True, eq=False, repr=False)
class LateLaunched(Event, kind="late_launched"):
    """A launcher adds ranks to a prediction that another one looks after. Written by it before it starts them."""

    attempt: int  # that goes on
    host: str
    pid: int  # of the launcher
    ranks: tuple[int, ...]  # numbers that no other rank of the attempt has
    start: str | None = None  # of the job around it, as an attempt's


@dataclass(kw_only=True, eq=False, repr=False)
class LateExited(Event, kind="late_exited"):
    """These ranks are gone; no word on the run. Written by the launcher that added them."""

    attempt: int
    host: str
    pid: int
    exit_code: int
    start: str | None = None
