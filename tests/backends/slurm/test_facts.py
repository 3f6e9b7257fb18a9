"""Reading `scontrol show job`; the texts are those of SLURM 22.05, shortened."""

from __future__ import annotations

import pytest

from yoloscale.backends.slurm.commands import SlurmError
from yoloscale.backends.slurm.facts import Facts, parse, requeue_job

SHOWN = """JobId=42 JobName={name}
   UserId=root(0) GroupId=root(0) MCS_label=N/A
   Priority=4294901718 Nice=0 Account=root QOS=normal
   JobState={state} Reason={reason} Dependency=(null)
   Requeue=1 Restarts={restarts} BatchFlag=1 Reboot=0 ExitCode=0:0
   RunTime={run} TimeLimit={limit} TimeMin=N/A
   SubmitTime=2026-11-22T18:37:10 EligibleTime=2026-11-22T18:37:10
   StartTime=2026-11-22T18:37:11 EndTime=2026-11-22T18:37:15 Deadline=N/A
   PreemptEligibleTime=2026-11-22T18:37:11 PreemptTime={preempt}
   Comment={name}
   WorkDir={name}
"""


def shown(**changed: str) -> Facts:
    values = {
        "name": "run",
        "state": "RUNNING",
        "restarts": "0",
        "run": "00:00:04",
        "limit": "00:03:00",
        "reason": "None",
    }
    return parse(SHOWN.format(**{**values, "preempt": "None", **changed}))


def test_a_running_job() -> None:
    assert shown() == Facts("RUNNING", 0, left_s=176.0, is_preempted=False)
    assert not shown().is_ended_by_slurm
    for flag in ("SUSPENDED", "SIGNALING", "RESIZING", "CONFIGURING", "STOPPED", "STAGE_OUT"):
        assert not shown(state=flag).is_ended_by_slurm, flag


def test_a_job_that_is_being_ended() -> None:
    assert shown(state="COMPLETING").is_ended_by_slurm
    assert shown(state="CANCELLED").is_ended_by_slurm
    assert shown(state="PENDING").is_ended_by_slurm
    assert shown(state="COMPLETING", restarts="2").restarts == 2


def test_the_time_limit() -> None:
    assert shown(run="00:03:00").is_past_limit
    assert shown(state="COMPLETING", reason="TimeLimit").is_past_limit
    assert shown(run="1-00:00:10", limit="1-00:00:00").is_past_limit
    assert not shown(run="00:02:59").is_past_limit
    assert not shown(run="9-00:02:59", limit="UNLIMITED").is_past_limit


def test_preemption() -> None:
    assert shown(preempt="2026-11-22T18:38:14").is_preempted


def test_a_name_cannot_pose_as_a_fact() -> None:
    assert shown(name="x JobState=COMPLETING Restarts=9 PreemptTime=2026-11-22T18:38:14") == Facts(
        "RUNNING", 0, left_s=176.0, is_preempted=False
    )


class Controller:
    """An scontrol whose `requeue` answers with what it is given, one after the other; None is success."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: str | None, requeues: bool = False) -> None:
        self.answers, self.requeues, self.asked = list(answers), requeues, 0
        monkeypatch.setattr("yoloscale.backends.slurm.facts.call", self)

    def __call__(self, argv: list[str]) -> str:
        if argv[1] == "show":
            state = {"name": "run", "state": "RUNNING", "run": "00:00:04", "limit": "00:03:00", "preempt": "None"}
            return SHOWN.format(**state, reason="None", restarts=int(self.requeues))
        self.asked += 1
        if (said := self.answers.pop(0)) is not None:
            raise SlurmError(argv, said)
        return ""


def test_a_requeue_is_asked_for_again_where_the_controller_was_too_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Controller(monkeypatch, "Socket timed out on send/recv operation", None)
    requeue_job("42", 0)
    assert busy.asked == 2


def test_a_requeue_whose_answer_got_lost_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Controller(monkeypatch, "Socket timed out on send/recv operation", requeues=True)
    requeue_job("42", 0)
    assert lost.asked == 1


def test_a_requeue_that_slurm_refuses_comes_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    Controller(monkeypatch, *["Requested operation is presently disabled for job"] * 3)
    with pytest.raises(SlurmError, match="presently disabled"):
        requeue_job("42", 0)
