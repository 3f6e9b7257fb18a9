"""Real predictions under SLURM: the same bytes as here, whatever SLURM does to them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.worker.predict.prediction_runs import digests, write_images
from tests.yolo.inference.models import write_model

pytestmark = [pytest.mark.long]
HINDERED = Path(__file__).parents[2] / "hindered"
IMAGES, UNIT = 48, 2
PREDICT = (
    *("yoloscale", "predict", "model=model.pt", "source=images", "device=cpu", "imgsz=64", "conf=0.001"),
    *(f"predict.unit={UNIT}", "cluster.procs_per_node=1"),
)
TIMEOUT_S = 10  # after which a rank of a node that is gone is given up
ON_SLURM = ("cluster=slurm", "cluster.cpus_per_task=1", f"cluster.timeout_s={TIMEOUT_S}")
ELEMENTS = 3


@pytest.fixture
def held(account: Any) -> Path:
    """Weights and images in the account's folder, and the file that says after how many parts the ranks wait."""
    write_model(account.folder / "model.pt", "yolo26n.yaml", imgsz=64)
    write_images(account.folder / "images", IMAGES)
    hold: Path = account.folder / "hold"
    hold.write_text("0")
    paths = os.pathsep.join([str(HINDERED), account.environment["PYTHONPATH"]])
    account.environment |= {"PYTHONPATH": paths, "TESTS_HELD_BY": str(hold)}
    return hold


def let_make(account: Any, held: Path, parts: int) -> None:
    """Let the ranks go on until so many parts are there."""
    beside = held.with_name("hold.part")
    beside.write_text(str(parts))
    beside.replace(held)
    account.until("run", lambda: len(digests(account.run("run"))) >= parts)


def assert_as_here(account: Any, name: str) -> None:
    account.type(*PREDICT, "name=here")
    assert len(digests(account.run("here"))) == IMAGES // UNIT
    assert digests(account.run(name)) == digests(account.run("here"))
    assert len(account.events(name, "finished")) == 1
    assert account.run(name).result.exists()


def test_preempted_and_without_a_node(account: Any, held: Path) -> None:
    account.type(*PREDICT, *ON_SLURM, "name=run", "cluster.nodes=2", "cluster.partition=low")
    job = account.job_of("run")
    let_make(account, held, 4)
    worth_more = ("--partition=main", "--nodes=4", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
    account.cluster.run("sbatch", *worth_more)
    requeued = account.until_event("run", "requeued")
    assert (requeued["job"], requeued["cause"]) == (job, "preempted by another job")
    let_make(account, held, 10)
    lost = account.events("run", "joined")[-1]["host"]
    launches = len(account.events("run", "attempt_launched"))
    account.cluster.run("scontrol", "update", f"nodename={lost}", "state=down", "reason=test")
    account.until_event("run", "attempt_launched", launches + 1)
    account.cluster.run("scontrol", "update", f"nodename={lost}", "state=resume")
    held.unlink()
    account.until_state("run", job, "COMPLETED")
    assert_as_here(account, "run")


def test_an_array_that_loses_a_node(account: Any, held: Path) -> None:
    """Its elements start together: one has the run, and the others take part."""
    account.type(*PREDICT, *ON_SLURM, "name=run", f"cluster.array_size={ELEMENTS}")
    array = account.job_of("run").partition("_")[0]
    account.until_event("run", "late_launched", ELEMENTS - 1)
    let_make(account, held, 6)
    (launched,) = account.events("run", "attempt_launched")
    hosts = [event["host"] for event in account.events("run", "late_launched")]
    node = next(host for host in hosts if host != launched["host"])  # a node has room for two elements
    account.cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    account.until_event("run", "late_launched", ELEMENTS - 1 + hosts.count(node))
    restarts = [event["start"].split(".")[1] for event in account.events("run", "late_launched")]
    assert restarts.count("1") == hosts.count(node)
    account.cluster.run("scontrol", "update", f"nodename={node}", "state=resume")
    held.unlink()
    for number in range(ELEMENTS):
        account.until_state("run", f"{array}_{number}", "COMPLETED")
    assert len(account.events("run", "attempt_launched")) == 1
    assert not account.events("run", "failed")
    assert_as_here(account, "run")
