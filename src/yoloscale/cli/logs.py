"""`yoloscale logs RUN`: the run's account of itself, or with --rank what one rank printed; -f follows to the end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from yoloscale.backends.registry import RateLimited
from yoloscale.backends.status import status
from yoloscale.cli import arguments
from yoloscale.cli.show.display import Display
from yoloscale.cli.show.ending import shown
from yoloscale.errors import ConfigError, Problem
from yoloscale.exit_codes import FINISHED
from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import EventTail
from yoloscale.runs.jobs import output_of
from yoloscale.runs.status import Status
from yoloscale.runs.tail import Tail, last_lines

POLL_S = 0.2
STATE_POLL_S = 1.0
SCHEDULER_POLL_S = 15.0  # one of many who ask
OUTPUT_LINES = 40


def main(typed: list[str]) -> int:
    """Print or follow; with -o json the events and metrics as they are, one object a line."""
    description = "What a run has said: one line per epoch, or with --rank everything a rank printed."
    parser = arguments.parser("logs", description)
    arguments.add_run(parser)
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on until the run has ended; Ctrl-C leaves the run alone"
    )
    parser.add_argument("--rank", type=int, metavar="R", help="the raw log of one rank")
    parser.add_argument("--attempt", type=int, metavar="K", help="of an earlier start of the job; default: the newest")
    arguments.add_output(parser)
    parsed = parser.parse_args(typed)
    run = arguments.chosen_run(parsed)
    if parsed.rank is not None or parsed.attempt is not None:
        return _raw(run, parsed.rank or 0, parsed.attempt, follow=parsed.follow)
    if parsed.output == "json":
        return _records(run, follow=parsed.follow)
    return _account(run, follow=parsed.follow)


def rank_log(run: RunDirectory, rank: int, attempt: int | None = None, *, must_exist: bool = True) -> Path:
    """The log of a rank, of the newest attempt unless one is named. Raises ConfigError that lists those there are."""
    chosen = attempt if attempt is not None else events.last_attempt(events.history(run))
    path = run.rank_log(chosen, rank)
    if must_exist and not path.exists():
        there = sorted(str(entry.relative_to(run.logs)) for entry in run.logs.glob("attempt-*/*.log"))
        hint = "there are: " + ", ".join(there[:12]) if there else "the run has not been started yet"
        raise ConfigError(Problem("--rank", f"there is no {path.relative_to(run.path)}", hint))
    return path


def _account(run: RunDirectory, *, follow: bool) -> int:
    last, phase = None, ""
    with Display(run) as display:

        def tell_queue(now: Status) -> None:
            nonlocal phase
            if display.progress.queued is not None and now.phase != phase:
                phase = now.phase
                display.say(f"job {now.job}: {phase}")

        display.watch()
        if follow:
            last = _follow(run, display.watch, tell_queue)
        progress = display.progress
    if not progress.processes and (progress.attempt == 0 or (last or status(run)).state == "failed"):
        output = output_of(run, progress.job)
        if output is not None and (lines := last_lines(output, OUTPUT_LINES)):
            print(f"\nThe end of {shown(output)}:", *(f"  {line}" for line in lines), sep="\n")
    return FINISHED


def _follow(run: RunDirectory, pump: Callable[[], None], watch: Callable[[Status], None] = lambda now: None) -> Status:
    """Call `pump` until the run has ended, and once more then; `watch` gets its status. The last status."""
    ask, tail = RateLimited(SCHEDULER_POLL_S), EventTail(run)
    while (now := status(run, ask, tail)).is_active:
        pump()
        watch(now)
        deadline = time.monotonic() + STATE_POLL_S
        while time.monotonic() < deadline:
            pump()
            time.sleep(POLL_S)
    pump()
    return now


def _raw(run: RunDirectory, rank: int, attempt: int | None, *, follow: bool) -> int:
    """One rank's log; followed without naming an attempt, it goes over to that of the next one after a restart."""
    path, done, tail = rank_log(run, rank, attempt, must_exist=not follow), 0, EventTail(run)

    def pump() -> None:
        nonlocal path, done
        goes_over = follow and attempt is None
        newest = run.rank_log(events.last_attempt(tail.history()), rank) if goes_over else path
        done += _copy(path, done)
        if newest != path and newest.exists():
            path, done = newest, 0
            done += _copy(path, done)

    pump()
    if follow:
        _follow(run, pump)
    if not path.exists():
        rank_log(run, rank, attempt)
    return FINISHED


def _copy(log: Path, offset: int) -> int:
    """Print a log from a byte on; the number of bytes."""
    try:
        with log.open("rb") as file:
            file.seek(offset)
            content = file.read()
    except FileNotFoundError:  # a rank that is still to come
        return 0
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
    return len(content)


def _records(run: RunDirectory, *, follow: bool) -> int:
    if not follow:
        for entry in events.in_order(events.history(run), jsonl.read(run.metrics)):
            _print_line(entry)
        return FINISHED
    tails: tuple[EventTail | Tail, ...] = (EventTail(run), Tail(run.metrics))

    def pump() -> None:
        for tail in tails:
            for entry in tail.new():
                _print_line(entry)

    _follow(run, pump)
    return FINISHED


def _print_line(entry: events.Event | Mapping[str, Any]) -> None:
    print(json.dumps(entry.record if isinstance(entry, events.Event) else entry), flush=True)
