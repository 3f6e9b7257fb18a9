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
from yoloscale.runs.status import Status, read_result
from yoloscale.runs.wording import wording
from yoloscale.system import formatting


def main(typed: list[str]) -> int:
    """Print the state of a run, or an object with -o json."""
    parser = arguments.parser("status", "The state of one run, or of the points of a sweep.")
    arguments.add_run(parser)
    parser.add_argument("--all", action="store_true", help="every point of a long sweep")
    arguments.add_output(parser)
    parsed = parser.parse_args(typed)
    if (chosen := arguments.chosen_sweep(parsed)) is not None:
        return verbs.status(chosen, as_json=parsed.output == "json", show_all=parsed.all)
    run = arguments.chosen_run(parsed)
    now = status(run)
    print(json.dumps(now.as_json(), indent=1) if parsed.output == "json" else "\n".join(lines(run, now)))
    return FINISHED


def lines(run: RunDirectory, now: Status) -> list[str]:
    """One line a fact; what is not known is left out."""
    unasked = f"{now.scheduler}; the state is that of the last events" if now.scheduler else ""
    facts = {
        "run": now.name,
        "state": now.state + (f" ({now.phase})" if now.phase else ""),
        "error": now.error or "",
        "restarts": f"{now.restarts}, the last after {now.restart_cause}" if now.restarts else "",
        "attempt": str(now.attempt) if now.attempt > 1 else "",
        "job": now.job or "",
        backend_of(now.job or ""): unasked,
        "where": now.where,
        "epoch": _epoch(now),
        "done": text.images(now.images_done or 0, now.images) if now.images is not None else "",
        "metrics": text.metrics(now.metrics),
        "speed": text.images_per_s(now.images_per_s),
        "gpu": text.gpus(now.gpus or {}).removeprefix("GPU "),
        "left": formatting.duration(now.eta_s),
        "time": text.shares(now.time_s or {}, wording(now.kind).share),
        "log": shown(run.path / now.failed_log) if now.failed_log else "",
        "folder": shown(run.path),
        "weights": shown(run.best_weights) if run.best_weights.exists() else "",
        "rows": shown(run.predictions) if run.predictions.exists() else "",
        "failures": shown(run.failures_csv) if _has_failures(run) else "",
        "next": _next(run, now),
    }
    return [f"{name:<8} {value}" for name, value in facts.items() if value]


def _has_failures(run: RunDirectory) -> bool:
    result = read_result(run) or {}
    return bool(result.get("unreadable") or result.get("failed"))


def _epoch(now: Status) -> str:
    of_all = f" of {now.epochs}" if now.epochs else ""
    until = f", until {now.hours:g} hours are over" if now.hours and now.state != "finished" else ""
    return f"{now.epoch}{of_all}{until}" if of_all or until else ""


def _next(run: RunDirectory, now: Status) -> str:
    path = shown(run.path)
    if now.is_active:
        return f"yoloscale logs {path} -f   yoloscale cancel {path}"
    return "" if now.state == "finished" else f"yoloscale resume {path}"
