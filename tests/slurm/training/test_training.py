"""Real training under SLURM: as good as here, and exact whatever SLURM does to it."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
import yaml
from tests.run_events import lines_of

from yoloscale.config.schema import ShapesConfig, Task
from yoloscale.datasets.shapes.dataset import folder, render
from yoloscale.runs.status import read_result

pytestmark = [pytest.mark.long]
BATCH = ("batch=8", "nbs=8", "debug.trace=true")


def here(account: Any, name: str, *settings: str, ranks: int) -> subprocess.Popen[str]:
    """The same training on this machine, beside that of the cluster."""
    where = (f"name={name}", f"cluster.procs_per_node={ranks}")
    typed = account.command("yoloscale", "train", *where, *account.small, *settings)
    return subprocess.Popen(
        typed, cwd=account.folder, env=account.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: subprocess.Popen[str], timeout_s: float) -> None:
    said, _ = process.communicate(timeout=timeout_s)
    assert process.returncode == 0, said


def same_weights(one: Any, other: Any) -> bool:
    """Whether two best.pt hold the same model to the bit; both were written here."""
    models = [torch.load(run.best_weights, weights_only=False)["model"] for run in (one, other)]
    states = [model.state_dict() for model in models]
    return states[0].keys() == states[1].keys() and all(
        torch.equal(value, states[1][key]) for key, value in states[0].items()
    )


def learn(account: Any) -> tuple[str, ...]:
    """Weights that find something, so that metrics can differ; what to train on, from them, is returned."""
    shapes = ShapesConfig(train_images=64, val_images=32, image_size=64)
    rendered = yaml.safe_load(render(shapes, Task.detect, account.cache, print).read_text())
    root = folder(shapes, Task.detect, account.cache)
    known = {"path": str(root), "train": "images/train", "val": "images/train", "names": rendered["names"]}
    (account.folder / "known.yaml").write_text(yaml.safe_dump(known))
    easy = ("data=known.yaml", "single_cls=true", "mosaic=0", "imgsz=64", "optimizer=AdamW", *BATCH)
    account.small = (*easy, "device=cpu", "plots=false", "workers=0", "cluster.threads=1")
    finish(here(account, "learn", "model=yolo26n.yaml", "epochs=30", "lr0=0.002", "val=false", ranks=1), 900)
    weights = account.run("learn").best_weights
    return (f"model={weights}", "epochs=1", "lr0=0.0002", "warmup_epochs=0", "val=true")


def test_two_nodes_train_as_one_machine_does(account: Any) -> None:
    """Four ranks: by torchrun on two nodes, by srun alone as tasks of two nodes, dealt out in turn, and here."""
    settings = learn(account)
    local = here(account, "here", *settings, ranks=4)
    job = account.train("there", *settings, nodes=2, ranks=2)
    account.prepare("tasks", *settings, nodes=2, ranks=2)
    finish(local, 900)
    account.until_state("there", job, "COMPLETED", 900)
    worker = [*account.command("yoloscale")[:2], "yoloscale.worker", str(account.run("tasks").path)]
    asked = ("--nodes=2", "--ntasks-per-node=2", "--cpus-per-task=1", "--distribution=cyclic")
    account.type("srun", *asked, *worker, timeout_s=900)
    assert len(account.trace("here")) == 8
    assert nodes_of(account, "there") == [0, 0, 1, 1], "ranks follow SLURM's order of the nodes"
    assert nodes_of(account, "tasks") == [0, 1, 0, 1]
    assert {process["cpus"] for process in started(account, "tasks")} == {1}
    for name in ("there", "tasks"):
        assert account.trace(name) == account.trace("here"), name
        assert same_weights(account.run(name), account.run("here")), name
        assert metrics(account, name) == metrics(account, "here")
        assert read_result(account.run(name))["metrics"] == read_result(account.run("here"))["metrics"], name
    assert metrics(account, "here")["metrics/mAP50(B)"] > 0.3, "equal zeros would say nothing"


def started(account: Any, name: str) -> list[dict[str, Any]]:
    return list(account.events(name, "attempt_started")[0]["processes"])


def nodes_of(account: Any, name: str) -> list[int]:
    """The node of each rank, by its number among their sorted names."""
    hosts = [process["host"] for process in started(account, name)]
    return [sorted(set(hosts)).index(host) for host in hosts]


def metrics(account: Any, name: str) -> Any:
    return account.events(name, "evaluated")[-1]["metrics"]


def preempted(account: Any, job: str) -> None:
    """By a job that is worth more, on the same nodes."""
    account.cluster.run(
        "sbatch", "--partition=main", "--nodes=4", "--exclusive", "--output=/dev/null", "--wrap=sleep 1"
    )
    until_another(account, "requeued")


def requeued(account: Any, job: str) -> None:
    account.cluster.run("scontrol", "requeue", job)
    until_another(account, "requeued")


def without_a_rank(account: Any, job: str) -> None:
    process = account.events("run", "attempt_started")[-1]["processes"][1]
    account.cluster.node(process["host"], "exec", "kill", "-KILL", str(process["pid"]))
    until_another(account, "restarted")


def without_a_slurmd(account: Any, job: str) -> None:
    """For a while that SLURM does not mind: the job does not notice."""
    host = account.events("run", "attempt_started")[-1]["processes"][1]["host"]
    account.cluster.node(host, "kill-slurmd")
    time.sleep(3)
    account.cluster.node(host, "start-slurmd")


def without_a_node(account: Any, job: str) -> None:
    host = account.events("run", "attempt_started")[-1]["processes"][1]["host"]
    account.cluster.run("scontrol", "update", f"nodename={host}", "state=down", "reason=test")
    until_another(account, "attempt_launched")  # on another node, there are four
    account.cluster.run("scontrol", "update", f"nodename={host}", "state=resume")


def without_power(account: Any, job: str) -> None:
    host = account.events("run", "attempt_started")[-1]["processes"][1]["host"]
    account.cluster.node(host, "poweroff")
    account.until("run", lambda: account.state(job) not in ("RUNNING", "COMPLETING"), 900)
    account.cluster.node(host, "poweron")


def until_another(account: Any, event: str) -> None:
    before = len(account.events("run", event))
    account.until_event("run", event, before + 1)


def is_training(account: Any, job: str) -> bool:
    """Whether its ranks have done some steps since they were started, and nobody has asked them to stop."""
    if account.state(job) != "RUNNING":
        return False
    begun = 0.0
    for record in lines_of(account.run("run")):
        begun = record["time"] if record["event"] == "training_started" else begun
        begun = 0.0 if record["event"] in ("preempted", "exited", "failed") else begun
    started, trace = account.events("run", "training_started"), account.trace("run")
    return begun > 0.0 and bool(trace) and trace[-1]["step"] > started[-1]["step"] + 2


WHAT_HAPPENS: list[Callable[[Any, str], None]] = [
    preempted,
    requeued,
    without_a_rank,
    without_a_slurmd,
    without_a_node,
    without_power,
]


PACE = """
import time
from pathlib import Path

HOLD = Path(__file__).with_name("hold")


def on_train_batch_end(trainer):
    if HOLD.exists():
        time.sleep(1.5)
"""


def test_whatever_slurm_does_it_ends_with_the_same_bits(account: Any) -> None:
    """One run on two nodes: one thing after the other happens to it, and then its time is too short, three times.

    A callback holds it back meanwhile: however fast the machine is, the run is not over before all of it has happened.
    """
    (account.folder / "pace.py").write_text(PACE)
    hold = account.folder / "hold"
    hold.touch()
    settings = (*BATCH, "epochs=40", "checkpoint.every_steps=5", "val=false", "callbacks=[pace:on_train_batch_end]")
    where = ("cluster.partition=low", "cluster.time=20", "cluster.stop_before_s=30")
    job = account.train("run", *settings, *where, nodes=2, ranks=1)
    for happen in WHAT_HAPPENS:
        account.until("run", lambda: is_training(account, job), 900)
        happen(account, job)
    account.cluster.run("scontrol", "update", f"jobid={job}", "timelimit=1")
    # of such a minute SLURM leaves 3 to 30 s until it warns: three of them are less than 320 steps of 1.5 s
    account.until("run", lambda: causes(account)["the time limit"] >= 3, 900)
    account.cluster.run("scontrol", "update", f"jobid={job}", "timelimit=20")
    hold.unlink()
    whole = here(account, "whole", *settings, ranks=2)
    finish(whole, 1200)
    account.until_state("run", job, "COMPLETED", 1200)
    assert {record["job"] for record in account.events("run", "requeued")} == {job}
    assert causes(account)["preempted by another job"] == 1
    assert causes(account)["requeued by SLURM"] >= 2
    assert "rank 1 on node" in account.events("run", "restarted")[0]["cause"]
    assert account.trace("run") == account.trace("whole")
    assert same_weights(account.run("run"), account.run("whole"))


def causes(account: Any) -> Counter[str]:
    return Counter(record["cause"] for record in account.events("run", "requeued"))


def test_a_run_that_may_go_on_with_fewer_nodes_keeps_its_job_when_one_is_lost(account: Any) -> None:
    settings = (*BATCH, "epochs=500", "checkpoint.every_steps=3", "val=false", "cluster.min_nodes=1")
    job = account.train("run", *settings, nodes=2, ranks=1)
    account.until("run", lambda: is_training(account, job), 900)
    lost = account.events("run", "attempt_started")[0]["processes"][1]["host"]
    account.cluster.node(lost, "poweroff")
    started = account.until_event("run", "attempt_started", 2)
    assert [process["rank"] for process in started["processes"]] == [0]
    account.until("run", lambda: is_training(account, job), 900)
    account.until("run", lambda: account.cluster.node_states()[lost].startswith("down"), 900)
    assert account.state(job) == "RUNNING"
    assert not account.events("run", "requeued")
    account.cluster.node(lost, "poweron")
