"""`yoloscale resume RUN`: go on with an unfinished run, exactly as it was configured."""

from __future__ import annotations

from yoloscale.cli import arguments
from yoloscale.cli.train import run_detached, run_watched, say
from yoloscale.config.errors import ConfigError, Problem


def main(typed: list[str]) -> int:
    """Start the next attempt; exit codes as `train`."""
    made = arguments.parser("resume", "Go on with an unfinished run from its newest checkpoint, as it was configured.")
    arguments.add_run(made)
    made.add_argument("--detach", action="store_true", help="in the background")
    parsed, changes = made.parse_known_args(typed)
    if changes:
        raise ConfigError(
            Problem(
                "resume", f"{' '.join(changes)}", "a run goes on as it was configured; for another, give a new name="
            )
        )
    from yoloscale.config.freeze import load
    from yoloscale.launch.start import ready_again

    run = arguments.chosen_run(parsed)
    taken = ready_again(run, say)
    config = load(run.config)
    return run_detached(taken, config) if parsed.detach else run_watched(taken, config)
