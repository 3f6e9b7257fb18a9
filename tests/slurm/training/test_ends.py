"""What becomes of a job, with ranks that do as they are told."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
from typing import Any

import psutil
import pytest

from yoloscale.backends.status import status
from yoloscale.runs import events
from yoloscale.runs.jobs import nobody


def test_a_run_that_finishes_is_a_job_that_completes(account: Any) -> None:
    job = account.stand_in("good")
    account.until_state("good", job, "COMPLETED")
    (launched,) = account.events("good", "attempt_launched")
    assert launched["start"].startswith(f"{job}.0.")
    assert account.run("good").rank_log(1, 0).exists()
    script = account.run("good").job / "submit-1.sbatch"
    assert script.read_text().startswith("#!/bin/bash\n#SBATCH ")
    assert_several_tasks_on_a_node_are_refused(account)
    assert_its_job_may_be_requeued_and_leaves_it_as_it_is(account, job)


def assert_several_tasks_on_a_node_are_refused(account: Any) -> None:
    node = ("yoloscale.backends.slurm.node", str(account.run("good").path))
    said = account.type("srun", "--ntasks=2", "--nodes=1", *account.command("yoloscale")[:2], *node, code=2)
    assert "2 tasks on 1 nodes" in said
    assert "--ntasks-per-node=1" in said


def assert_its_job_may_be_requeued_and_leaves_it_as_it_is(account: Any, job: str) -> None:
    account.cluster.run("scontrol", "requeue", job)
    account.until("good", lambda: "Restarts=1" in account.cluster.run("scontrol", "show", "job", job))
    account.until_state("good", job, "COMPLETED")
    assert len(account.events("good", "attempt_launched")) == 1


def test_after_a_bug_the_job_has_failed_and_stays_so(account: Any) -> None:
    broken = {"rank": 0, "how": "raise", "step": 3}
    job = account.stand_in("bug", "cluster.max_restarts=0", **{"break": broken})
    account.until_state("bug", job, "FAILED")
    assert not account.events("bug", "requeued")
    assert "teapot" in account.events("bug", "failed")[0]["error"]
    assert "failed: rank 0 on node" in (account.run("bug").job / f"slurm-{job}.out").read_text()
    assert account.cluster.run("scontrol", "show", "job", job).count("ExitCode=1:0") == 1


@pytest.mark.long
def test_a_node_with_a_broken_gpu_is_left_out_when_the_job_goes_on(account: Any) -> None:
    """Not restarted there, requeued at once, and on another node."""
    broken = {"rank": 0, "step": 10, "how": "ecc", "attempts": [1]}
    job = account.stand_in("broken", "cluster.exclude=node4", steps=20, **{"break": broken})
    account.until_state("broken", job, "COMPLETED")
    first, second = account.events("broken", "attempt_launched")
    assert first["host"] != second["host"]
    (requeued,) = account.events("broken", "requeued")
    assert requeued["excluded"] == [first["host"]]
    assert f"a GPU of {first['host']} is broken" in requeued["cause"]
    assert not account.events("broken", "restarted")
    shown = account.cluster.run("scontrol", "show", "job", job)
    left_out = re.search(r"ExcNodeList=(\S+)", shown)
    assert left_out is not None
    names = account.cluster.run("scontrol", "show", "hostnames", left_out[1]).split()
    assert sorted(names) == sorted({first["host"], "node4"})
    assert "leaves out" in account.events("broken", "warning")[-1]["message"]


@pytest.mark.long
def test_scancel_ends_it_for_good(account: Any) -> None:
    job = account.stand_in("cancelled", steps=2000)
    account.until_event("cancelled", "training_started")
    account.cluster.run("scancel", job)
    account.until_event("cancelled", "cancelled")
    account.until_state("cancelled", job, "CANCELLED")
    assert account.events("cancelled", "exited")[-1]["exit_code"] == 130
    assert account.events("cancelled", "preempted")  # its ranks saved
    assert not account.events("cancelled", "requeued")


@pytest.mark.long
def test_yoloscale_cancel_ends_it_as_cancelled(account: Any) -> None:
    job = account.stand_in("stopped", steps=2000)
    account.until_event("stopped", "training_started")
    account.type("yoloscale", "cancel", "stopped")
    account.until_state("stopped", job, "CANCELLED")
    assert account.events("stopped", "exited")[-1]["exit_code"] == 130
    assert not account.events("stopped", "requeued")


def test_a_killed_launcher_is_requeued_under_the_same_number(account: Any) -> None:
    job = account.stand_in("killed", steps=5000, until="go", save_every=5)
    launched = account.until_event("killed", "attempt_launched")
    account.until_event("killed", "checkpoint_saved")
    account.cluster.node(launched["host"], "exec", "kill", "-KILL", str(launched["pid"]))
    requeued = account.until_event("killed", "requeued")
    assert (requeued["by"], requeued["job"], requeued["cause"]) == ("yoloscale", job, "its step was killed")
    (account.run("killed").path / "go").touch()
    account.until_state("killed", job, "COMPLETED")
    assert [each["start"].split(".")[1] for each in account.events("killed", "attempt_launched")] == ["0", "1"]


@pytest.mark.long
def test_requeues_that_get_nowhere_come_to_an_end(account: Any) -> None:
    """Ranks that are told to stop before they have saved anything, again and again."""
    job = account.stand_in("nowhere", "cluster.max_requeues=1", setup_s=600)
    for number in (1, 2):
        account.until_event("nowhere", "attempt_started", number)
        account.cluster.run("scancel", "--signal=USR1", job)
        if number == 1:
            account.until_event("nowhere", "requeued")
    account.until_state("nowhere", job, "FAILED")
    assert len(account.events("nowhere", "requeued")) == 1
    assert "given up after 1 requeue" in account.events("nowhere", "failed")[-1]["error"]


def test_where_no_launcher_can_start_the_job_fails_and_says_where_to_look(account: Any) -> None:
    job = account.stand_in("nopython", "cluster.setup=['srun() { /nowhere/to/be/found; }']")
    account.until_state("nopython", job, "FAILED")
    (failed,) = account.events("nopython", "failed")
    assert "before any rank was started" in failed["error"]
    assert "/nowhere/to/be/found" in (account.run("nopython").job / f"slurm-{job}.out").read_text()


@pytest.mark.long
def test_an_allocation_is_used_and_is_not_ended(account: Any) -> None:
    account.with_stand_ins()
    words = ("train", "name=inside", "cluster=slurm", "cluster.procs_per_node=1", "device=cpu")
    account.type("yoloscale", *words, "--prepare")
    (account.run("inside").path / "standin.json").write_text('{"steps": 5}')
    alloc = ("salloc", "--nodes=1", "--cpus-per-task=2")
    said = account.type(*alloc, *account.command("yoloscale", *words), timeout_s=900)
    assert "on the nodes of this allocation" in said
    assert "finished" in said
    assert not account.events("inside", "submitted")


@pytest.mark.long
def test_a_batch_script_of_ones_own_trains_on_all_of_its_nodes(account: Any) -> None:
    """As people have them: two tasks a node, which the one launcher there takes the CPUs of."""
    account.with_stand_ins()
    words = account.command("yoloscale", "train", "name=own", "cluster=slurm", "cluster.procs_per_node=1", "device=cpu")
    account.type(*words, "--prepare", "cluster.nodes=2")
    (account.run("own").path / "standin.json").write_text('{"steps": 5}')
    asked = ("--nodes=2", "--ntasks-per-node=2", "--output=own.out", f"--wrap={shlex.join(words)}")
    job = account.type("sbatch", "--parsable", *asked).strip()
    account.until_state("own", job, "COMPLETED")
    said = (account.folder / "own.out").read_text()
    assert "has cluster.cpus_per_task=2\n" in said
    assert "= 2 ranks" in said, "it keeps the nodes that it was prepared for"
    logs = [account.run("own").rank_log(1, rank) for rank in (0, 1)]
    assert all(log.exists() for log in logs), "a rank on each node"


@pytest.mark.long
@pytest.mark.parametrize("launcher", ["local", "slurm"])
def test_a_batch_script_of_ones_own_saves_before_its_time_is_over(account: Any, launcher: str) -> None:
    """SLURM tells the shell alone, if anybody, and only as it ends the job."""
    account.with_stand_ins()
    words = account.command("yoloscale", "train", "name=own", "cluster.procs_per_node=1", "device=cpu")
    account.type(*words, "cluster=slurm", "--prepare")
    (account.run("own").path / "standin.json").write_text('{"steps": 50000}')
    typed = f"{shlex.join([*words, f'cluster={launcher}'])}; echo ended with $?"
    job = account.type("sbatch", "--parsable", "--time=1", "--output=own.out", f"--wrap={typed}").strip()
    account.until_state("own", job, "COMPLETED")
    assert "ended with 75" in (account.folder / "own.out").read_text()
    assert account.events("own", "checkpoint_saved")


def test_a_script_that_breaks_in_an_allocation_is_a_failure_that_shows_its_output(account: Any) -> None:
    words = ("train", "name=broken", "cluster=slurm", "cluster.procs_per_node=1", "device=cpu", *account.small)
    setup = 'cluster.setup=["echo no module of that name >&2","exit 127"]'
    said = account.type("salloc", "--nodes=1", *account.command("yoloscale", *words, setup), code=1)
    assert "ended with 127" in said
    assert "no module of that name" in said


def test_an_allocation_that_is_too_small_is_refused_before_anything_starts(account: Any) -> None:
    words = ("train", "name=small", "cluster=slurm", "cluster.nodes=2", "cluster.procs_per_node=1", "device=cpu")
    said = account.type("salloc", "--nodes=1", *account.command("yoloscale", *words), code=2)
    assert "write cluster.nodes=1" in said
    assert not account.run("small").path.exists()


class Typed:
    """A training command in a shell of salloc, whose exit code and whose job's state are printed when it has ended."""

    def __init__(self, account: Any, **script: Any) -> None:
        account.with_stand_ins()
        words = ("yoloscale", "train", "name=stopped", "cluster=slurm", "cluster.procs_per_node=1", "device=cpu")
        account.type(*words, "--prepare")
        (account.run("stopped").path / "standin.json").write_text(json.dumps(script))
        line = (
            f"{shlex.join(account.command(*words))}; echo ended with $?; squeue -h -j $SLURM_JOB_ID -o %T; squeue -hs"
        )
        alloc = ["salloc", "--nodes=1", "--cpus-per-task=2", "bash", "-c", line]
        self._account = account
        self._shell = subprocess.Popen(
            alloc, cwd=account.folder, env=account.environment, stdout=subprocess.PIPE, text=True
        )

    def interrupt(self) -> None:
        """Ctrl-C, once the command is there to hear it."""
        (command,) = self._account.until("stopped", self._commands)
        command.send_signal(signal.SIGINT)

    def said(self) -> str:
        return self._shell.communicate(timeout=900)[0]

    def _commands(self) -> list[psutil.Process]:
        below = psutil.Process(self._shell.pid).children(recursive=True)
        return [each for each in below if each.cmdline()[1:4] == ["-m", "yoloscale", "train"]]


@pytest.mark.long
def test_ctrl_c_in_an_allocation_stops_and_leaves_the_allocation(account: Any) -> None:
    typed = Typed(account, steps=5000)
    account.until_event("stopped", "training_started")
    typed.interrupt()
    assert "ended with 130\nRUNNING" in typed.said()
    assert account.events("stopped", "cancelled")


def test_ctrl_c_before_there_is_a_launcher_is_not_forgotten(account: Any) -> None:
    typed = Typed(account, steps=5000)
    account.until("stopped", lambda: any(account.run("stopped").job.glob("submit-1.out")))
    typed.interrupt()
    assert "ended with 130\nRUNNING" in typed.said()


def test_ctrl_c_twice_in_an_allocation_leaves_no_rank(account: Any) -> None:
    typed = Typed(account, steps=5000, save_s=60)
    account.until_event("stopped", "training_started")
    typed.interrupt()
    account.until_event("stopped", "cancelled")
    typed.interrupt()
    said = typed.said()
    assert said.endswith("ended with 130\nRUNNING\n"), "no step of srun is left"
    assert account.events("stopped", "exited")[-1]["exit_code"] == 130
    assert status(account.run("stopped"), nobody).state == "cancelled"


@pytest.mark.long
def test_a_cancelled_job_that_slurm_requeues_does_not_train_again(account: Any) -> None:
    """As if somebody had cancelled it when its first node was lost: nobody was left to end the job."""
    job = account.stand_in("run", steps=2000)
    account.until_event("run", "training_started")
    events.append(account.run("run"), events.Cancelled())
    account.cluster.run("scontrol", "requeue", job)
    account.until_state("run", job, "CANCELLED")
    assert len(account.events("run", "attempt_launched")) == 1


@pytest.mark.long
def test_a_signal_to_srun_and_all_its_tasks_is_a_preemption(account: Any) -> None:
    """As SLURM warns before the end of the time, with `--signal`."""
    job = account.stand_in("warned", steps=5000, until="go")
    account.until_event("warned", "training_started")
    account.cluster.run("scancel", "--signal=USR1", job)
    assert account.until_event("warned", "requeued")["by"] == "yoloscale"
    (account.run("warned").path / "go").touch()
    account.until_state("warned", job, "COMPLETED")


@pytest.mark.long
def test_without_requeues_a_job_that_is_told_to_stop_ends_as_preempted(account: Any) -> None:
    job = account.stand_in("once", "cluster.max_requeues=0", steps=2000)
    account.until_event("once", "training_started")
    account.cluster.run("scancel", "--signal=USR1", job)
    account.until_state("once", job, "FAILED")
    assert account.events("once", "exited")[-1]["final"]
    assert not account.events("once", "requeued")
    assert "preempted" in account.type("yoloscale", "status", "once")
    assert account.cluster.run("scontrol", "show", "job", job).count("ExitCode=75:0") == 1
