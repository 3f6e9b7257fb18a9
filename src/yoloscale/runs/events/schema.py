"""The events of a run: what each kind of line in events/ says, who writes it, and what its fields mean. Pure.

A line is a JSON object with `event` (its kind), `time` (seconds since the epoch), `id` (the run's; older runs have
none), `after` where the clock of the writer lags (files.py), and the fields of its kind below. A field without a
default is always written, one with a default only where it has another value. A name that Python keeps for itself has
an underscore here and none in the file. Kinds and fields of newer versions are kept in `record`. What only runs that
predict or evaluate say is in inference.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, ClassVar

from yoloscale.system.formatting import rank_name


@dataclass(kw_only=True, eq=False, repr=False)
class Event:
    """What all events have; by itself, an event of a kind that this version does not know."""

    kind: ClassVar[str] = ""
    word: ClassVar[str] = ""  # `event` in the file
    kinds: ClassVar[dict[str, type[Event]]] = {}
    time: float = 0.0  # when it was put on record; 0 before
    record: Mapping[str, Any] = field(default_factory=dict)  # the line as it stands

    def __init_subclass__(cls, kind: str, word: str | None = None) -> None:
        cls.kind, cls.word = kind, word or kind
        Event.kinds[kind] = cls

    # once for all kinds: dataclasses would compile them for each, at every start of a command
    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._values() == other._values()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._values().items())})"

    def _values(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "record"}

    __hash__ = None  # type: ignore[assignment]


@dataclass(kw_only=True, eq=False, repr=False)
class Submitted(Event, kind="submitted"):
    """A scheduler has taken the run. Written by whoever submitted it."""

    job: str  # the scheduler's id; ARRAY_TASK for an element of an array


@dataclass(kw_only=True, eq=False, repr=False)
class Requeued(Event, kind="requeued"):
    """The job starts again. Written by its script before it asks for that, else by its next start."""

    job: str
    by: str  # the back end's name, as `slurm`, or yoloscale
    step: int  # of the newest checkpoint; parts that are there, of a run that predicts
    count: int | None = None  # requeues in a row from there
    cause: str
    excluded: tuple[str, ...] = ()  # nodes that the job leaves out from now on


@dataclass(kw_only=True, eq=False, repr=False)
class AttemptLaunched(Event, kind="attempt_launched"):
    """A launcher looks after an attempt. Written by that of node 0 before it starts the ranks."""

    attempt: int  # from 1
    host: str
    pid: int  # of the launcher
    argv: tuple[str, ...] | None = None  # of torchrun's agent; not where the nodes are still to meet
    start: str | None = None  # of the job: `JOB.…`, in SLURM JOB.RESTARTS.STEP


@dataclass(frozen=True)
class Process:
    """One rank of an attempt."""

    rank: int
    host: str
    pid: int
    device: str  # cpu, cuda:0
    cpus: int  # the share of the machine that is its own


@dataclass(kw_only=True, eq=False, repr=False)
class AttemptStarted(Event, kind="attempt_started"):
    """The ranks have met. Written by rank 0."""

    attempt: int
    world_size: int
    processes: tuple[Process, ...] = field(metadata={"of": Process})  # in rank order


@dataclass(kw_only=True, eq=False, repr=False)
class Setup(Event, kind="setup"):
    """A phase before training begins. Written by rank 0; by the launcher while it waits for the other nodes."""

    attempt: int
    phase: str


@dataclass(kw_only=True, eq=False, repr=False)
class TrainingStarted(Event, kind="training_started"):
    """The set-up is over, the first step follows. Written by rank 0."""

    attempt: int
    epochs: int  # of the whole run; 0 where `hours` ends it and the pace is not known yet
    hours: float | None = None  # `time=`
    clock_s: float = 0.0  # with `hours`: trained before this attempt
    steps_per_epoch: int
    epoch: int  # from 1, the one that is trained next
    step: int  # optimiser steps behind it
    images: int | None  # of an epoch
    batch: int  # global
    plan: str
    precision: str
    workers: int | None  # loader processes of a rank
    prefetch: int | None
    memory_bytes: int  # free on the machine of rank 0


@dataclass(kw_only=True, eq=False, repr=False)
class CheckpointSaved(Event, kind="checkpoint_saved"):
    """A checkpoint is on disk, whole. Written by the rank that saved it."""

    step: int
    epoch: int  # whole ones behind it
    epoch_step: int  # steps of the next one behind it
    taken: float  # when the state was copied, from which moment on nothing is lost; seconds since the epoch
    blocked_s: float  # the loop stood still
    reason: str  # epoch, interval, stop, failure, …
    seconds: float  # writing it took
    bytes: int


@dataclass(kw_only=True, eq=False, repr=False)
class Rescuing(Event, kind="rescuing"):
    """After a failure, what was done before it is being saved. Written by the rank that does so."""

    step: int


@dataclass(kw_only=True, eq=False, repr=False)
class Evaluated(Event, kind="evaluated"):
    """A pass over the validation images is over. Written by rank 0."""

    epoch: int  # after which it was, from 1
    metrics: dict[str, float]
    seconds: float
    final: bool = False  # of the weights that the finished run is judged by


@dataclass(kw_only=True, eq=False, repr=False)
class Pruned(Event, kind="pruned"):
    """A search has found the run hopeless: it ends after this epoch. Written by rank 0."""

    epoch: int


@dataclass(kw_only=True, eq=False, repr=False)
class RolledBack(Event, kind="rolled_back", word="warning"):
    """Steps that were not finite made the run go back to a checkpoint: a warning with more. Written by rank 0."""

    message: str
    step_from: int
    step_to: int


@dataclass(kw_only=True, eq=False, repr=False)
class Preempted(Event, kind="preempted"):
    """The attempt has stopped on request. Written by rank 0; by the launcher where the ranks could not say so."""

    attempt: int
    step: int  # parts that are there, of a run that predicts
    epoch: int  # from 1, the one it stopped in; 0 of a run that has none
    signal: str | None  # or what else asked: STOP, time limit; None where no rank can tell
    outcome: str  # preempted, interrupted
    saved: bool = True  # with a checkpoint of this step


@dataclass(kw_only=True, eq=False, repr=False)
class Cancelled(Event, kind="cancelled"):
    """A person has stopped the run. Written by whoever was asked."""

    job: str | None = None  # None: in whatever job it is


@dataclass(kw_only=True, eq=False, repr=False)
class Restarted(Event, kind="restarted"):
    """After a failure all ranks are started again. Written by the launcher of node 0."""

    attempt: int  # that follows
    step: int  # of the checkpoint it goes on from, 0 without one; parts that are there, of a run that predicts
    cause: str
    rank: int | None  # that failed
    host: str
    exit_code: int | None
    restarts: int  # since the newest checkpoint came
    max_restarts: int


@dataclass(kw_only=True, eq=False, repr=False)
class Regrouped(Event, kind="regrouped"):
    """The run goes on with other nodes. Written by the launcher of node 0."""

    attempt: int  # that follows
    step: int
    cause: str
    nodes: int


@dataclass(kw_only=True, eq=False, repr=False)
class Moved(Event, kind="moved"):
    """The run goes on with changed settings. Written by whoever resumed it."""

    from_: dict[str, Any]  # by key, what changed
    to: dict[str, Any]
    plan: str
    remarks: tuple[str, ...]


@dataclass(kw_only=True, eq=False, repr=False)
class Finished(Event, kind="finished"):
    """Nothing is left to do, and result.json is there. Written by rank 0; of a prediction, by any rank."""

    epochs: int  # 0 of a run that has none
    steps: int  # units of a run that predicts, batches of one that evaluates
    images: int | None = None  # of a run that predicts or evaluates


@dataclass(frozen=True)
class LostRank:
    """A rank that others have lost."""

    rank: int | None
    host: str
    error: str


@dataclass(kw_only=True, eq=False, repr=False)
class Failed(Event, kind="failed"):
    """A rank, the launcher or the job has failed. Written by the rank, or by who saw it die or gives the run up."""

    attempt: int  # 0: before the first one
    rank: int | None  # None: not a rank
    host: str | None = None
    exit_code: int | None = None  # negative: the signal that killed it; None: see `exited`
    error: str
    log: str | None = None  # below the run directory
    gave_up: bool = False  # the launcher's or the job's last word on the run: it is not tried again
    restarts: int | None = None  # where the launcher gave up: how many there were
    step: int | None = None  # and from the checkpoint of which step
    at_step: int | None = None  # the optimiser step that the rank was at, from 1
    collateral: bool  # all it says is that another rank is gone
    traceback: str | None = None  # the end of it; only a rank that speaks for itself has one
    lost: LostRank | None = field(default=None, metadata={"of": LostRank})  # the rank that is gone, as others said
    hang: bool = False  # it hangs, by the watchdog of another rank
    job: str | None = None
    start: str | None = None  # the srun that found it out: JOB.RESTARTS.STEP

    @property
    def text(self) -> str:
        """The error behind rank and host, which it does not repeat."""
        return self.error if self.rank is None else f"{rank_name(self.rank, self.host)}: {self.error}"


@dataclass(kw_only=True, eq=False, repr=False)
class Warned(Event, kind="warning"):
    """Something to look after that does not stop the run. Written by anybody."""

    message: str
    rank: int | None = None  # of the set-up: the first rank that said it, the others' are in the message by name


@dataclass(kw_only=True, eq=False, repr=False)
class Remark(Event, kind="remark"):
    """Something to know of the set-up. Written by rank 0 for all."""

    message: str
    rank: int  # as a warning's


@dataclass(kw_only=True, eq=False, repr=False)
class Tracked(Event, kind="tracked"):
    """A tracker has the run. Written by rank 0."""

    tracker: str
    where: str  # an address, a folder


@dataclass(kw_only=True, eq=False, repr=False)
class Exited(Event, kind="exited"):
    """The launcher's last word on an attempt. Written by that of node 0, or by the job's script in its place."""

    attempt: int
    exit_code: int
    goes_on: bool = False  # another attempt follows
    job: str | None = None  # where the script says it
    final: bool = False  # stopped, and the job is not requeued


def parse(record: Mapping[str, Any]) -> Event:
    """The event of a line. What the line lacks has its default, or is 0 or empty; null stands for what it lacks.

    What has another shape than its field, as a later version may write it, is an event of no known kind.
    """
    kind = str(record["event"])
    if kind == Warned.word and "step_to" in record:
        kind = RolledBack.kind
    try:
        event: Event = _build(Event.kinds.get(kind, Event), record, record=record)
    except (TypeError, AttributeError):
        return Event(time=float(record.get("time") or 0.0), record=record)
    return event


def as_record(event: Event) -> dict[str, Any]:
    """The fields of an event's own kind as they are written."""
    own_fields = [spec for spec in fields(event) if spec.name not in ("time", "record")]
    values = {spec.name.rstrip("_"): getattr(event, spec.name) for spec in own_fields if _is_written(event, spec)}
    return {key: _plain(value) for key, value in values.items()}


def job_of(event: Event) -> str | None:
    """The scheduler's job that an event speaks of; None if it speaks of none."""
    job, start = _said(event, "job"), _said(event, "start")
    return str(job) if job is not None else str(start).partition(".")[0] if start else None


def array_of(job: str | None) -> str | None:
    """What the elements of an array have in common; of another job, its id."""
    return None if job is None else job.partition("_")[0]


def attempt_of(event: Event) -> int:
    """The attempt that an event speaks of; 0 if it speaks of none."""
    attempt = _said(event, "attempt")
    return attempt if isinstance(attempt, int) else 0


def _said(event: Event, key: str) -> Any:
    """A field, of a kind that this version does not know as well."""
    return event.record.get(key) if type(event) is Event else getattr(event, key, None)


def _is_written(event: Event, spec: Field[Any]) -> bool:
    return spec.default is MISSING or getattr(event, spec.name) != spec.default


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _build(kind: Any, line: Mapping[str, Any], **extra: Any) -> Any:
    values = dict(extra)
    for name, key, of, instead in _readers(kind):
        value = line.get(key)
        if value is None:
            value = instead
        elif of is not None:
            value = _build(of, value) if isinstance(value, Mapping) else tuple(_build(of, item) for item in value)
        elif isinstance(value, list):
            value = tuple(value)
        values[name] = value
    return kind(**values)


@cache
def _readers(kind: Any) -> tuple[tuple[str, str, type | None, Any], ...]:
    """Name, key, type of what is nested, and what stands for a missing value, of each field."""
    return tuple(
        (spec.name, spec.name.rstrip("_"), spec.metadata.get("of"), _instead(spec))
        for spec in fields(kind)
        if spec.name != "record"
    )


def _instead(spec: Field[Any]) -> Any:
    empty = {"int": 0, "float": 0.0, "str": "", "bool": False, "tuple": (), "dict": {}}
    nothing = None if "None" in str(spec.type) else empty[str(spec.type).partition("[")[0]]
    return nothing if spec.default is MISSING else spec.default
