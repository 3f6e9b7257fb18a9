"""What SLURM knows of a job that is running or just being ended, from `scontrol show job`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from yoloscale.backends.slurm.commands import SlurmError, call
from yoloscale.system.durations import limit_s
from yoloscale.system.waiting import retry

PATIENCE_S = 600.0  # with a controller that is down: it comes back, and the job goes on meanwhile
POLL_S = 5.0
REQUEUE_TRIES = 3
# Of a state's flags SLURM prints one instead of the state: a job that is being signalled, say, is SIGNALING. COMPLETING
# comes before all others that a job with nodes may have.
_ENDING = {"COMPLETING", "COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "DEADLINE", "OUT_OF_MEMORY", "NODE_FAIL"}
_ENDING |= {"BOOT_FAIL", "PREEMPTED", "PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "REVOKED"}


@dataclass(frozen=True)
class Facts:
    """A job as the controller sees it now.

    Args:
        restarts: how often it was requeued, a requeue that is under way included.
        left_s: until its time is over; None without a limit.
    """

    state: str
    restarts: int
    left_s: float | None
    is_preempted: bool

    @property
    def is_past_limit(self) -> bool:
        """Whether its time is over."""
        return self.left_s is not None and self.left_s <= 0

    @property
    def words(self) -> str:
        """For the log of the job."""
        more = [" past its time"] * self.is_past_limit + [" preempted"] * self.is_preempted
        return f"SLURM says {self.state}{','.join(more)}, requeued {self.restarts} times"

    @property
    def is_ended_by_slurm(self) -> bool:
        """Whether SLURM is ending it, or has: then the script that asks does so in its last seconds."""
        return self.state in _ENDING


def facts_of(job: str) -> Facts:
    """Ask until there is an answer. Raises SlurmError if there is none for a long time."""
    return retry(lambda: parse(call(["scontrol", "show", "job", job])), SlurmError, PATIENCE_S, POLL_S)


def requeue_job(job: str, restarts: int) -> None:
    """Have a job start again that had been requeued `restarts` times. Raises SlurmError if SLURM will not.

    A controller that is down or too busy to answer is asked again: it may have done it all the same.
    """
    for tries_left in reversed(range(REQUEUE_TRIES)):
        try:
            call(["scontrol", "requeue", job])
        except SlurmError:
            if facts_of(job).restarts > restarts:
                return
            if tries_left == 0:
                raise
        else:
            return


def has_lost_node(nodelist: str) -> bool:
    """Whether one of the nodes does not answer, or is not to be used; False if that cannot be found out."""
    try:
        states = call(["sinfo", "--noheader", "--Node", f"--nodes={nodelist}", "--format=%T"]).split()
    except SlurmError:
        return False
    return any(state.endswith("*") or state.startswith(("down", "drain", "fail")) for state in states)


def parse(text: str) -> Facts:
    """Read the lines of `scontrol show job` for one job."""
    preempted, time_s = _value(text, "PreemptTime"), seconds_of(_value(text, "TimeLimit"))
    left_s = None if time_s is None else time_s - (seconds_of(_value(text, "RunTime")) or 0.0)
    return Facts(
        state=_value(text, "JobState") or "UNKNOWN",
        restarts=int(_value(text, "Restarts") or 0),
        left_s=0.0 if _value(text, "Reason") == "TimeLimit" else left_s,  # a reservation may end before the job's own
        is_preempted=preempted not in (None, "None", "N/A"),
    )


def _value(text: str, key: str) -> str | None:
    """A value without spaces; names and comments, which may hold anything, stand on lines that begin otherwise."""
    match = re.search(rf"^ {{3}}(?!JobName|Comment|Command|WorkDir|StdErr|StdOut|StdIn)(?:.* )?{key}=(\S+)", text, re.M)
    return match[1] if match else None


def seconds_of(text: str | None) -> float | None:
    """A duration as SLURM prints it; None for UNLIMITED and its like."""
    try:
        return float(limit_s(text or ""))
    except ValueError:
        return None
