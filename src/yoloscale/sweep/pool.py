"""Runs that train at a time on this machine, each by a launcher of its own that dies with this process."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Protocol

from yoloscale.agent.job_end import JobEnd
from yoloscale.agent.stop_signals import StopSignals
from yoloscale.backends import registry
from yoloscale.backends.run_lock import RunLock, lock
from yoloscale.errors import ConfigError
from yoloscale.exit_codes import FINISHED, INTERRUPTED, STOPPED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.endings import record_failure
from yoloscale.runs.jobs import label_of, nobody
from yoloscale.runs.status import Status, read_progress, status
from yoloscale.runs.tail import last_lines
from yoloscale.sweep import devices
from yoloscale.sweep.slots import Slots
from yoloscale.system.processes import ChildProcess, describe_exit
from yoloscale.system.signals import STOP_SIGNALS
from yoloscale.system.variables import CPU_SHARE, VISIBLE_GPUS

LAUNCHER = "yoloscale.launch.supervise"
POLL_S = 0.1
SLOW_POLL_S = 1.0  # for what others have to let go of
_TOLD_CODES = (FINISHED, STOPPED, INTERRUPTED, *(-number for number in STOP_SIGNALS))


class Source(Protocol):
    """Where a pool's runs come from."""

    def next(self) -> RunDirectory | None:
        """A frozen run to start now; None: none at present. The pool asks again, until `is_exhausted`."""

    def is_exhausted(self) -> bool:
        """Whether no run will come any more."""

    def ended(self, run: RunDirectory, status: Status) -> None:
        """A run that `next` gave has ended, or had ended before. With an active status somebody else has it now."""


@dataclass(frozen=True)
class PoolObserver:
    """Who looks on: `watch` is called about ten times a second, the others when something happens."""

    started: Callable[[RunDirectory, str], None] = lambda run, where: None  # where: "GPU 0, 1", empty on CPUs
    ended: Callable[[RunDirectory, Status], None] = lambda run, status: None
    watch: Callable[[], None] = lambda: None
    say: Callable[[str], None] = lambda line: None


@dataclass
class PoolEnd:
    """How a pool ended: the last states of the runs that it has trained."""

    stopped_by: signal.Signals | None = None
    is_cancelled: bool = False
    is_given_up: bool = False  # after max_failures
    states: dict[str, Status] = field(default_factory=dict)  # by run name

    def count(self, state: str) -> int:
        """How many of the runs ended in this state."""
        return sum(status.state == state for status in self.states.values())


@dataclass(frozen=True)
class _Running:
    run: RunDirectory
    process: ChildProcess
    gpus: tuple[str, ...]


def run_pool(
    source: Source,
    slots: Slots,
    observer: PoolObserver,
    *,
    max_failures: int | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
    job_end: JobEnd | None = None,
) -> PoolEnd:
    """Train the runs of a source, `slots.count` at a time, and stay until all have ended. Main thread only.

    The first Ctrl-C or SIGTERM lets the ranks of all save and stop, the second Ctrl-C kills them; if this process is
    killed, they save and stop, too. After `max_failures` failed runs no other is started. Once `is_cancelled`, asked
    each second, or near the end of the scheduler's job around all runs, they save and stop, too.
    """
    with StopSignals() as requests:
        pool = _Pool(source, slots, observer, requests, job_end)
        return pool.until_end(max_failures, is_cancelled)


class _Pool:
    """The runs that train now, and how the others ended."""

    def __init__(
        self, source: Source, slots: Slots, observer: PoolObserver, requests: StopSignals, job_end: JobEnd | None
    ) -> None:
        self._source, self._slots, self._observer, self._requests = source, slots, observer, requests
        self._job_end = job_end
        self._running: list[_Running] = []
        self._end = PoolEnd()
        self._told: signal.Signals | None = None
        self._try_again_at = self._look_at = 0.0
        self._waits_for_gpus = False

    def until_end(self, max_failures: int | None, is_cancelled: Callable[[], bool]) -> PoolEnd:
        """Poll until nothing runs, and nothing is left or wanted."""
        try:
            while True:
                self._reap()
                self._heed(is_cancelled)
                failures = self._end.count("failed")
                if max_failures is not None and failures >= max_failures and not self._end.is_given_up:
                    self._end.is_given_up = True
                    self._observer.say(f"failed points: {failures} (sweep.max_failures): no other starts")
                starts_others = self._told is None and not self._end.is_given_up
                if starts_others:
                    self._fill()
                self._observer.watch()
                if not self._running and (not starts_others or self._source.is_exhausted()):
                    return self._end
                time.sleep(POLL_S)
        finally:
            for each in self._running:  # only after an error of ours: they save and stop
                each.process.send(signal.SIGTERM)

    def _heed(self, is_cancelled: Callable[[], bool]) -> None:
        """Pass requests to stop on: each once, and the second Ctrl-C until it is heard."""
        if self._requests.at_once:
            self._tell(signal.SIGINT)
        elif self._told is not None:
            return
        elif (request := self._requests.first) is not None:
            self._observer.say("stopping: all points save a checkpoint first (Ctrl-C again ends them at once)")
            self._end.stopped_by = request
            self._tell(request)
        elif self._job_end is not None and self._job_end.is_near():
            job = next(map(label_of, registry.current_jobs()), "scheduler's") + " job"
            self._observer.say(f"the {job} ends soon: all points save a checkpoint and stop, and no other starts")
            self._end.stopped_by = signal.SIGTERM
            self._tell(signal.SIGTERM)
        elif time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + SLOW_POLL_S
            if is_cancelled():
                self._end.is_cancelled = True
                for each in self._running:
                    if not read_progress(each.run).cancelled:
                        events.note(each.run, events.Cancelled())  # on record first: launchers look there for why
                self._tell(signal.SIGTERM)

    def _tell(self, number: signal.Signals) -> None:
        self._told = number
        for each in self._running:
            each.process.send(number)

    def _fill(self) -> None:
        """Start runs while there is room."""
        if time.monotonic() < self._try_again_at:
            return
        while len(self._running) < self._slots.count:
            lease = devices.lease(self._free, devices.physical)
            self._say_waits(is_waiting=lease is None)
            try:
                if lease is None or (run_lock := self._next()) is None:
                    self._try_again_at = time.monotonic() + SLOW_POLL_S
                    return
                self._start(run_lock, lease)
            finally:
                if lease is not None:
                    lease.release()

    def _free(self, locked: Collection[str]) -> tuple[str, ...] | None:
        return self._slots.choose({*locked, *(name for each in self._running for name in each.gpus)})

    def _say_waits(self, *, is_waiting: bool) -> None:
        if is_waiting and not self._waits_for_gpus and not self._running:
            self._observer.say("all GPUs are taken by another sweep on this machine: waiting for it")
        self._waits_for_gpus = is_waiting

    def _next(self) -> RunLock | None:
        """The next run that nobody else has and that is not finished, locked."""
        while (run := self._source.next()) is not None:
            if not run.config.exists():
                self._observer.say(f"{run.name}: left out, as its folder is not there any more")
                self._source.ended(run, replace(status(run, nobody), state="cancelled"))  # by whoever removed it
                continue
            run.job.mkdir(exist_ok=True)
            try:
                run_lock = lock(run)
            except ConfigError:
                self._source.ended(run, _held(status(run, nobody)))
                continue
            now = status(run, nobody)
            if now.state != "finished":
                return run_lock
            run_lock.release()
            self._source.ended(run, now)
        return None

    def _start(self, run_lock: RunLock, lease: devices.Lease) -> None:
        run, inherited = run_lock.run, (run_lock.descriptor, *lease.descriptors)
        argv = [sys.executable, "-m", LAUNCHER, str(run.path), str(run_lock.descriptor)]
        environment = {**os.environ, CPU_SHARE: str(self._slots.cpus)}
        if self._slots.gpus is not None:
            environment[VISIBLE_GPUS] = ",".join(lease.gpus)
        try:
            process = ChildProcess(argv, environment, run.supervisor_log, keep_open=inherited)
        finally:
            run_lock.release()  # the launcher has it now
        self._running.append(_Running(run, process, lease.gpus))
        self._observer.started(run, f"GPU {', '.join(lease.gpus)}" if lease.gpus else "")

    def _reap(self) -> None:
        for each in list(self._running):
            exit_code = each.process.wait(0)
            if exit_code is None:
                continue
            self._running.remove(each)
            self._try_again_at = 0.0
            state = _state_of(each.run, exit_code)
            self._end.states[each.run.name] = state
            self._source.ended(each.run, state)
            self._observer.ended(each.run, state)


def _state_of(run: RunDirectory, exit_code: int) -> Status:
    """The state of a run whose launcher has ended, also if that could not say so itself."""
    now = status(run, nobody)
    if (lost := run.loss()) is not None:
        return replace(now, state="failed", error=lost)
    has_ended = now.state == "finished" or now.has_failed
    is_cancelled = now.state == "cancelled" and exit_code == -signal.SIGKILL  # by `cancel --now` of this point
    if exit_code in _TOLD_CODES or has_ended or is_cancelled:
        return now
    words = last_lines(run.supervisor_log, 1)
    error = f"its launcher {describe_exit(exit_code)}" + (f": {words[0]}" if words and exit_code >= 0 else "")
    record_failure(run, None, error)
    return replace(status(run, nobody), state="failed", error=error)  # on a full disk, that is not on record


def _held(now: Status) -> Status:
    """The state of a run that somebody else has: a new launcher may not have said so yet, an old one not have ended."""
    return now if now.is_active or now.state == "finished" else replace(now, state="pending")
