"""Ranks of a launcher that was killed: they end before others take their run up."""

from __future__ import annotations

import json

from yoloscale.agent import leftovers
from yoloscale.agent.monitor import TRAINING_STOP_S
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.remarks import Say
from yoloscale.system.waiting import wait_until

LEFTOVERS_POLL_S = 0.2


def end_leftovers(run: RunDirectory, say: Say) -> None:
    """Let the ranks of a launcher that was killed save and end before others take the run up; on this machine only.

    The lock went with their launcher. Whoever is still there when a stop in order would be over is killed.
    A request to stop that nobody was left to honour is forgotten.
    """
    try:
        record = json.loads(run.launch_record(events.last_attempt(events.history(run))).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        record = None
    if record is not None and leftovers.processes_of(mark := f"{record['job_id']}-0"):
        say("waiting for the ranks of a launcher that was killed to save and end")
        wait_until(lambda: not leftovers.processes_of(mark), TRAINING_STOP_S, LEFTOVERS_POLL_S)
        leftovers.kill_all(mark)
    run.check()
    run.stop_request.unlink(missing_ok=True)
