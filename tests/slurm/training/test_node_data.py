"""A dataset that is there on the disks of the nodes only: each has its own, and this machine has none."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from yoloscale.backends.status import status
from yoloscale.config.schema import ShapesConfig, Task
from yoloscale.datasets.shapes.dataset import folder, render
from yoloscale.runs.jobs import nobody

pytestmark = pytest.mark.long
TRAIN = ("epochs=15", "batch=8", "nbs=8", "val=false", "debug.trace=true", "checkpoint.every_steps=4", "imgsz=64")
SMALL = ("model=yolo26n.yaml", "device=cpu", "plots=false", "workers=0", "cluster.threads=1")
UNPACK = 'srun --ntasks-per-node=1 sh -c "mkdir -p $SLURM_TMPDIR && tar -xf parts.tar -C $SLURM_TMPDIR"'


@pytest.fixture
def disk(account: Any) -> Iterator[Path]:
    """Empty here, and on each node a file system of the node's own."""
    scratch = account.folder / "localscratch"
    scratch.mkdir()
    for node in account.cluster.nodes:
        account.cluster.node(node, "exec", "mount", "-t", "tmpfs", "none", str(scratch))
    yield scratch
    for node in account.cluster.nodes:
        account.cluster.node(node, "exec", "umount", "--lazy", str(scratch))


def pack(account: Any) -> None:
    """`parts.tar` of a small dataset, and the same unpacked in `here`."""
    shapes = ShapesConfig(train_images=32, val_images=8, image_size=64)
    names = yaml.safe_load(render(shapes, Task.detect, account.cache, print).read_text())["names"]
    data = account.folder / "data.yaml"
    data.write_text(yaml.safe_dump({"train": "images/train", "val": "images/val", "names": names}))
    rendered = folder(shapes, Task.detect, account.cache)
    with tarfile.open(account.folder / "parts.tar", "w") as tar:
        tar.add(data, "parts/data.yaml")
        for part in ("images", "labels"):
            tar.add(rendered / part, f"parts/{part}")
    subprocess.run(["tar", "-xf", "parts.tar"], cwd=account.folder, check=True)


def test_unpacked_by_the_job_on_two_nodes_and_again_when_it_is_requeued(account: Any, disk: Path) -> None:
    pack(account)
    account.small = SMALL
    setup = [f"export SLURM_TMPDIR={disk}/$SLURM_JOB_ID", UNPACK]
    job = account.train("run", *TRAIN, "data=$SLURM_TMPDIR/parts/data.yaml", f"cluster.setup={setup}", nodes=2, ranks=1)
    account.until("run", lambda: len(account.trace("run")) > 5)
    account.cluster.run("scontrol", "requeue", job)
    account.until_event("run", "requeued")
    account.until_state("run", job, "COMPLETED")
    assert [record["by"] for record in account.events("run", "requeued")] == ["slurm"]
    assert list(disk.iterdir()) == [], "nothing of it was ever here"
    words = ("name=here", "data=parts/data.yaml", "cluster.procs_per_node=2", *TRAIN, *SMALL)
    account.type("yoloscale", "train", *words)
    assert len(account.trace("here")) == 60
    assert account.trace("run") == account.trace("here")


def test_a_path_of_the_nodes_that_one_of_them_does_not_have(account: Any, disk: Path) -> None:
    """The other one ends too, and the run says what is missing where."""
    pack(account)
    account.small = SMALL
    where = f"data={disk}/parts/data.yaml"
    said = account.type("yoloscale", "train", "cluster=slurm", "name=run", where, *SMALL, code=2)
    assert "if it is there on the nodes only, add data.check=later" in said
    setup = [f"tar -xf parts.tar -C {disk}"]
    job = account.train("run", where, "data.check=later", f"cluster.setup={setup}", nodes=2, ranks=1)
    account.until_state("run", job, "FAILED")
    error = status(account.run("run"), nobody).error
    assert "on node2: " in error
    assert f"{disk}/parts/data.yaml" in error
    assert "`srun --ntasks-per-node=1 …` does it on each" in error
    assert not account.events("run", "requeued")
