"""`yoloscale cancel RUN`: stop a run; its ranks save a checkpoint first."""

from __future__ import annotations

import json

from yoloscale.backends.status import status
from yoloscale.cli import arguments
from yoloscale.cli.sweep import verbs
from yoloscale.exit_codes import FAILED, FINISHED
from yoloscale.launch.cancel import cancel


def main(typed: list[str]) -> int:
    """Ask the run to stop and wait until it has; 1 if it still runs."""
    made = arguments.parser(
        "cancel",
        "Stop a run, or all of a sweep. Its ranks save a checkpoint first; `yoloscale resume` goes on from it.",
    )
    arguments.add_run(made)
    made.add_argument("--now", action="store_true", help="kill it without saving")
    made.add_argument("--timeout", type=float, default=120.0, metavar="S", help="seconds to wait for its end (120)")
    arguments.add_output(made)
    parsed = made.parse_args(typed)
    if (chosen := arguments.chosen_sweep(parsed)) is not None:
        as_json = parsed.output == "json"
        return verbs.cancel(chosen, at_once=parsed.now, timeout_s=parsed.timeout, as_json=as_json)
    run = arguments.chosen_run(parsed)
    has_ended = cancel(run, at_once=parsed.now, timeout_s=parsed.timeout)
    newest = status(run)
    if parsed.output == "json":
        print(json.dumps(newest.as_json(), indent=1))
    else:
        unended = "killed, but not gone yet" if parsed.now else "asked to stop, still saving"
        print(f"{newest.name}: {newest.state if has_ended else unended}")
    return FINISHED if has_ended else FAILED
