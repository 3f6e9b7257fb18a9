"""Reading `scontrol show job`; the texts are those of SLURM 22.05, shortened."""

from __future__ import annotations

from yoloscale.launch.slurm.facts import Facts, parse

SHOWN = """JobId=42 JobName={name}
   UserId=root(0) GroupId=root(0) MCS_label=N/A
   Priority=4294901718 Nice=0 Account=root QOS=normal
   JobState={state} Reason=None Dependency=(null)
   Requeue=1 Restarts={restarts} BatchFlag=1 Reboot=0 ExitCode=0:0
   RunTime={run} TimeLimit={limit} TimeMin=N/A
   SubmitTime=2026-11-22T18:37:10 EligibleTime=2026-11-22T18:37:10
   StartTime=2026-11-22T18:37:11 EndTime=2026-11-22T18:37:15 Deadline=N/A
   PreemptEligibleTime=2026-11-22T18:37:11 PreemptTime={preempt}
   Comment={name}
   WorkDir={name}
"""


def shown(**changed: str) -> Facts:
    values = {"name": "run", "state": "RUNNING", "restarts": "0", "run": "00:00:04", "limit": "00:03:00"}
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
    assert shown(run="1-00:00:10", limit="1-00:00:00").is_past_limit
    assert not shown(run="00:02:59").is_past_limit
    assert not shown(run="9-00:02:59", limit="UNLIMITED").is_past_limit


def test_preemption() -> None:
    assert shown(preempt="2026-11-22T18:38:14").is_preempted


def test_a_name_cannot_pose_as_a_fact() -> None:
    assert shown(name="x JobState=COMPLETING Restarts=9 PreemptTime=2026-11-22T18:38:14") == Facts(
        "RUNNING", 0, left_s=176.0, is_preempted=False
    )
