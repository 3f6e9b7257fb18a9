"""Runs on SLURM by the commands of local runs: seen, followed, interrupted, cancelled and taken up again."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from yoloscale.backends.base import RankProcess
from yoloscale.backends.slurm.queue import ask
from yoloscale.backends.slurm.signals import send_in_job
from yoloscale.backends.status import status
from yoloscale.errors import ConfigError

# SLURM's own words, unless it takes longer than anybody waits for
NO_ANSWER = re.compile("Unable to contact slurm controller|no answer within [0-9]+ s")


@pytest.fixture
def busy(account: Any) -> Callable[[], None]:
    """A job of somebody else's that has all nodes; what it returns ends that."""
    job = account.cluster.sbatch("sleep 600", "--nodes=4", "--exclusive", folder=account.folder)
    account.cluster.wait_for(job, "RUNNING")

    def end() -> None:
        account.cluster.run("scancel", str(job))

    return end


class Follower:
    """`logs -f` in a terminal of its own."""

    def __init__(self, account: Any, words: tuple[str, ...]) -> None:
        self._file = account.folder / f"{'-'.join(words)}.followed"
        command = account.command("yoloscale", "logs", *words, "-f")
        with self._file.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=account.folder, env=account.environment, stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def said(self) -> str:
        return str(self._file.read_text())

    def to_its_end(self) -> str:
        assert self.process.wait(timeout=900) == 0, self.said
        return self.said


@pytest.fixture
def follow(account: Any) -> Iterator[Callable[..., Follower]]:
    started: list[Follower] = []

    def start(*words: str) -> Follower:
        started.append(Follower(account, words))
        return started[-1]

    yield start
    for follower in started:
        follower.process.kill()
        follower.process.wait()


def seen(account: Any, name: str) -> dict[str, Any]:
    return dict(json.loads(account.type("yoloscale", "status", name, "-o", "json")))


@pytest.mark.long
def test_followed_through_the_queue_and_a_requeue(account: Any, busy: Any, follow: Any) -> None:
    job = account.stand_in("run", steps=5000, until="go", save_every=5)
    account.until("run", lambda: seen(account, "run")["phase"].startswith("waiting in the queue: Resources"))
    assert (seen(account, job)["name"], seen(account, "run")["state"]) == ("run", "pending"), "found by its job"
    table = account.type("yoloscale", "runs").splitlines()
    assert "job" in table[0].split()
    assert table[1].split()[:3] == ["run", "pending", job]
    for taker in (["resume", "run"], ["resume", "run", "cluster.launcher=local"]):
        assert f"run 'run' is in job {job} already" in account.type("yoloscale", *taker, code=2)
    log, rank_log = follow("run"), follow("run", "--rank", "0")
    account.until("run", lambda: f"job {job}: waiting in the queue: Resources" in log.said)
    busy()
    account.until_event("run", "checkpoint_saved")
    said = account.type("yoloscale", "interrupt", "run", "--term", "--rank", "0")
    assert "SIGTERM sent to rank 0 on node" in said
    assert "the job is requeued and goes on from there" in said
    account.until_event("run", "requeued")
    (account.run("run").path / "go").touch()
    account.until_event("run", "finished")
    told = log.to_its_end()
    for part in (
        f"submitted as job {job}",
        f"job {job} is requeued (stopped on request), to go on from the checkpoint of step",
        "1 rank on node",
        "(attempt 2)",
        "finished: 1 epochs",
    ):
        assert part in told
    assert rank_log.to_its_end().count("rank 0 trains") == 2, "the log of each start"
    done = seen(account, "run")
    assert (done["state"], done["job"], done["scheduler"], done["error"]) == ("finished", job, None, None)
    assert done["time_s"]["queued"] > 0


@pytest.mark.long
def test_a_job_that_waits_is_cancelled_and_the_run_submitted_again(account: Any, busy: Any) -> None:
    first = account.stand_in("run", steps=60)
    assert "run: cancelled" in account.type("yoloscale", "cancel", "run")
    assert account.state(first) == "CANCELLED"
    assert [record["exit_code"] for record in account.events("run", "exited")] == [130]
    assert "is cancelled: there is nothing to cancel" in account.type("yoloscale", "cancel", "run", code=2)
    account.type("yoloscale", "resume", "run", "cluster.comment=again")
    second = account.job_of("run")
    assert second != first
    assert seen(account, "run")["state"] == "pending"
    account.cluster.run("scancel", second)
    found = seen(account, "run")
    assert found["state"] == "cancelled"
    assert found["error"].startswith(f"SLURM ended job {second} before its launcher began: CANCELLED")
    busy()
    account.type("yoloscale", "resume", "run")
    account.until_state("run", account.job_of("run"), "COMPLETED")
    assert seen(account, second)["state"] == "finished"


def test_killed_at_once(account: Any) -> None:
    job = account.stand_in("run", steps=2000)
    account.until_event("run", "training_started")
    assert "run: cancelled" in account.type("yoloscale", "cancel", job, "--now")
    assert account.state(job) == "CANCELLED"
    assert account.events("run", "exited")[-1]["exit_code"] == 130
    assert not account.events("run", "requeued")


@pytest.mark.long
def test_a_rank_is_killed_from_elsewhere_and_the_job_goes_on(account: Any) -> None:
    account.stand_in("run", "cluster.procs_per_node=2", "cluster.cpus_per_task=2", steps=5000, until="go", save_every=5)
    account.until_event("run", "checkpoint_saved")
    (host,) = {process["host"] for process in account.events("run", "attempt_started")[-1]["processes"]}
    assert f"SIGKILL sent to rank 1 on {host}" in account.type("yoloscale", "interrupt", "run", "--kill", "--rank", "1")
    assert account.until_event("run", "restarted")["rank"] == 1
    (account.run("run").path / "go").touch()
    account.until_event("run", "finished")
    assert not account.events("run", "requeued")


def test_signals_reach_every_node_of_a_job(account: Any) -> None:
    task = "srun --ntasks-per-node=1 --no-kill sh -c 'echo $$ > pid-$(hostname).part; mv pid-$(hostname).part "
    job = account.cluster.sbatch(task + "pid-$(hostname); exec sleep 600'", "--nodes=2", folder=account.folder)
    files = [account.folder / f"pid-{node}" for node in ("node1", "node2")]
    account.until("none", lambda: all(file.exists() for file in files))
    wanted = [RankProcess(rank, f"node{rank + 1}", int(file.read_text())) for rank, file in enumerate(files)]
    gone = RankProcess(2, "node2", 4194000)
    assert send_in_job(str(job), [*wanted, gone], signal.SIGUSR1) == wanted
    assert account.cluster.wait_for(job) == "FAILED", "by the signal"
    with pytest.raises(ConfigError, match=f"node1 was not reached by a step of job {job}: "):
        send_in_job(str(job), wanted, signal.SIGUSR1)


@pytest.mark.long
def test_taken_from_slurm_to_this_machine(account: Any, busy: Any) -> None:
    account.stand_in("run", "cluster.partition=main", steps=10)
    account.type("yoloscale", "cancel", "run")
    account.type("yoloscale", "resume", "run", "cluster.launcher=local")
    found = seen(account, "run")
    assert (found["state"], found["job"]) == ("finished", None)


@pytest.mark.long
def test_a_group_takes_the_place_of_what_was_asked_of_slurm(account: Any) -> None:
    account.stand_in("run", "cluster.sbatch.begin=now+3600", steps=10)
    account.type("yoloscale", "cancel", "run")
    account.type("yoloscale", "resume", "run", "cluster=slurm", "cluster.comment=a group in place of all settings")
    script = (account.run("run").job / "submit-2.sbatch").read_text()
    assert "a group in place" in script
    assert "--begin" not in script
    account.until_state("run", account.job_of("run"), "COMPLETED")


def test_a_start_that_failed_names_the_output_of_the_job(account: Any) -> None:
    job = account.stand_in("run", 'cluster.setup=["echo no module of that name","exit 3"]')
    account.until_state("run", job, "FAILED")
    found = seen(account, "run")
    assert (found["state"], found["failed_log"]) == ("failed", f"job/slurm-{job}.out")
    assert f"SLURM ended job {job} before its launcher began: FAILED" in found["error"]
    assert f"runs/run/job/slurm-{job}.out" in account.type("yoloscale", "status", "run")
    assert account.type("yoloscale", "logs", "run").endswith("  no module of that name\n")


def test_many_jobs_are_one_question(account: Any, busy: Any) -> None:
    array = account.cluster.sbatch("true", "--array=0-2,7%1", folder=account.folder)
    wanted = [f"{array}_0", f"{array}_7", f"{array}_9", "99999", "99998_1"]
    answer = ask(wanted)
    assert answer.silence is None
    assert {job: told.word for job, told in answer.jobs.items()} == {f"{array}_0": "PENDING", f"{array}_7": "PENDING"}
    assert ask(["99999"]).of("99999") is None, "squeue calls that an error"


@pytest.mark.long
def test_while_the_controller_is_down_the_events_tell(account: Any) -> None:
    account.stand_in("run", steps=2000, step_s=0.1)
    waiting = account.stand_in("waiting", "cluster.sbatch.begin=now+3600")
    account.until_event("run", "training_started")
    account.cluster.controller("stop")
    try:
        table = account.type("yoloscale", "runs")
        assert [line.split()[:2] for line in table.splitlines()[1:3]] == [["run", "running"], ["waiting", "pending"]]
        assert len(NO_ANSWER.findall(table)) == 1
        assert len(NO_ANSWER.findall(account.type("yoloscale", "resume", "waiting", code=2))) == 1
        assert f"job {waiting} could not be cancelled" in account.type("yoloscale", "cancel", "waiting", code=2)
        assert not account.events("waiting", "cancelled")
    finally:
        account.cluster.controller("start")
    account.type("yoloscale", "cancel", "waiting")
    assert status(account.run("waiting")).state == "cancelled"
    assert status(account.run("run")).state == "running"
