"""`yoloscale status RUN`: one run in detail, or a sweep point by point."""

from __future__ import annotations

import json

from yoloscale.backends.status import status
from yoloscale.cli import arguments, text
from yoloscale.cli.show.ending import shown
from yoloscale.cli.sweep import verbs
from yoloscale.exit_codes import FINISHED
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.jobs import backend_of
from yoloscale.runs.status import Status, weights_of
from yoloscale.system import formatting


def main(typed: list[str]) -> int:
    """Print the state of a run, or an object with -o json."""
    made = arguments.parser("status", "The state of one run, or of the points of a sweep.")
    arguments.add_run(made)
    made.add_argument("--all", action="store_true", help="every point of a long sweep")
    arguments.add_output(made)
    parsed = made.parse_args(typed)
    if (chosen := arguments.chosen_sweep(parsed)) is not None:
        return verbs.status(chosen, as_json=parsed.output == "json", show_all=parsed.all)
    run = arguments.chosen_run(parsed)
    found = status(run)
    print(json.dumps(found.as_json(), indent=1) if parsed.output == "json" else "\n".join(lines(run, found)))
    return FINISHED


def lines(run: RunDirectory, found: Status) -> list[str]:
    """One line a fact; what is not known is left out."""
    weights = weights_of(run)
    unasked = f"{found.scheduler}; the state is that of the last events" if found.scheduler else ""
    facts = {
        "run": found.name,
        "state": found.state + (f" ({found.phase})" if found.phase else ""),
        "error": found.error or "",
        "restarts": _restarts(found),
        "attempt": str(found.attempt) if found.attempt > 1 else "",
        "job": found.job or "",
        backend_of(found.job or ""): unasked,
        "where": found.where,
        "epoch": _epoch(found),
        "metrics": text.metrics(found.metrics),
        "speed": text.images_per_s(found.images_per_s),
        "gpu": text.gpus(found.gpus or {}).removeprefix("GPU "),
        "left": formatting.duration(found.eta_s),
        "time": text.shares(found.time_s or {}),
        "log": shown(run.path / found.failed_log) if found.failed_log else "",
        "folder": shown(run.path),
        "weights": shown(weights) if weights else "",
        "next": _next(run, found),
    }
    return [f"{name:<8} {value}" for name, value in facts.items() if value]


def _epoch(found: Status) -> str:
    of_all = f" of {found.epochs}" if found.epochs else ""
    until = f", until {found.hours:g} hours are over" if found.hours and found.state != "finished" else ""
    return f"{found.epoch}{of_all}{until}" if of_all or until else ""


def _restarts(found: Status) -> str:
    return f"{found.restarts}, the last after {found.restart_cause}" if found.restarts else ""


def _next(run: RunDirectory, found: Status) -> str:
    path = shown(run.path)
    if found.is_active:
        return f"yoloscale logs {path} -f   yoloscale cancel {path}"
    return "" if found.state == "finished" else f"yoloscale resume {path}"
