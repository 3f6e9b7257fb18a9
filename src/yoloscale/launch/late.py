"""A run that predicts and that somebody works on, or makes just now: a command of the same name adds ranks to it."""

from __future__ import annotations

from yoloscale.agent.late_ranks import may_take_part
from yoloscale.backends import registry
from yoloscale.backends.status import status
from yoloscale.config.schema import PredictConfig, RunConfig
from yoloscale.launch.move import moved_run
from yoloscale.launch.prepare import prepared
from yoloscale.launch.start import RunRequest, StartRequest
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.frozen_state import FrozenState
from yoloscale.system.remarks import Say
from yoloscale.system.waiting import wait_until

MAKING_S = 600.0  # weights are fetched and looked into, all images of the source are listed
POLL_S = 0.5


def is_made_by_another(request: RunRequest, say: Say) -> bool:
    """Whether another element of the array around this command has the run that it was to make; waits while it is made.

    The elements of an array of one prediction start together, and each finds no folder. Raises ConfigError if the run
    that is made there is another one.
    """
    if not isinstance(request.config, PredictConfig) or not registry.current_jobs():
        return False
    run = request.run
    if not run.config.exists():
        say(f"waiting for whoever makes {run.path} just now")
        if not wait_until(run.config.exists, MAKING_S, POLL_S):
            return False
    moved_run(run, FrozenState.of(run).config, prepared(request.config, say))
    return True


def late_request(request: RunRequest, say: Say) -> tuple[RunDirectory, RunConfig] | None:
    """The run that is in use, and the config that ranks of this machine take part in it with; None where they cannot.

    Only in a run that predicts, by `yoloscale predict` on this machine, once its first ranks are launched: these have
    its manifest. Raises ConfigError if what was typed would be another run.
    """
    if not isinstance(request, StartRequest) or not isinstance(request.config, PredictConfig):
        return None
    run, config = request.run, request.config
    if config.name is None or not config.cluster.is_here or not may_take_part(run, config):
        return None
    if not status(run).is_active:
        return None
    return run, moved_run(run, FrozenState.of(run).config, prepared(config, say))
