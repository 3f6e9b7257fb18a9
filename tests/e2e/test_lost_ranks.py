"""A rank that is gone, under collectives that block for ever, as NCCL's do: what was done before is saved and used."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ports import free_port

pytestmark = pytest.mark.long

HERE = Path(__file__)
OPTIONS = (
    "epochs=2",
    "batch=8",
    "nbs=8",
    "val=false",
    "debug.trace=true",
    "workers=0",
    "cache=false",
    "cluster.threads=1",  # a node of one rank would give it all CPUs, and other bits
)
FAULT_AT = 11  # optimiser step; an epoch has eight
SAVED_WITHIN_S = 20.0


@pytest.fixture
def blocking(yoloscale: Any, tmp_path: Path) -> Callable[..., None]:
    """Ranks meet in the blocking group from now on; `blocking("kill:1:11")`: and one of them fails."""

    def set_fault(fault: str, group: str = "blocking") -> None:
        path = os.pathsep.join([str(HERE.with_name("blocking")), str(HERE.parents[2]), str(HERE.parents[2] / "src")])
        variables = {"PYTHONPATH": path, "FAULT": fault, "GROUP": group, "FAILED_AT": str(tmp_path / "failed-at")}
        yoloscale.set_variables(variables)

    return set_fault


def check_end(done: Any, straight: Any, told: str, failed_at: float, *, limit_s: float = SAVED_WITHIN_S) -> None:
    """The state before the step was saved in time, the cause was named, and the end is that of a run undisturbed."""
    (saved,) = [event for event in done.events("checkpoint_saved") if event["reason"] == "failure"]
    assert saved["step"] == FAULT_AT - 1
    assert saved["taken"] - failed_at <= limit_s
    (restarted,) = done.events("restarted")
    assert (restarted["rank"], restarted["step"]) == (1, FAULT_AT - 1)
    assert told in restarted["cause"]
    assert done.trace == straight.trace
    assert done.state()["position"] == straight.state()["position"]


@pytest.fixture(scope="module")
def straight(cache: Path, narrow_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.e2e.conftest import Commands

    commands = Commands(tmp_path_factory.mktemp("straight"), cache, narrow_model("yolo26"))
    return commands.train("straight", *OPTIONS)


@pytest.mark.parametrize(("how", "told"), [("kill", "was killed by SIGKILL"), ("raise", "the loss is a teapot")])
def test_on_the_same_node(yoloscale: Any, blocking: Any, straight: Any, tmp_path: Path, how: str, told: str) -> None:
    blocking(f"{how}:1:{FAULT_AT}")
    done = yoloscale.train("lost", *OPTIONS)
    check_end(done, straight, told, float((tmp_path / "failed-at").read_text()))


def test_a_rank_that_stands_still(yoloscale: Any, blocking: Any, straight: Any, tmp_path: Path) -> None:
    blocking(f"stop:1:{FAULT_AT}")
    done = yoloscale.train("lost", *OPTIONS, "cluster.timeout_s=12")
    check_end(done, straight, "did not arrive at step", float((tmp_path / "failed-at").read_text()), limit_s=60)
    (hang,) = [event for event in done.events("failed") if event.get("hang")]
    (saved,) = [event for event in done.events("checkpoint_saved") if event["reason"] == "failure"]
    assert saved["taken"] - hang["time"] <= SAVED_WITHIN_S


@pytest.mark.parametrize(
    ("how", "told"),
    [("kill", "was killed by SIGKILL"), ("raise", "the loss is a teapot"), ("stop", "did not arrive at step")],
)
def test_on_another_node(yoloscale: Any, blocking: Any, straight: Any, tmp_path: Path, how: str, told: str) -> None:
    """Ranks of another agent have no way to see this one's processes; they hear of it through the store."""
    blocking(f"{how}:1:{FAULT_AT}")
    nodes = ("cluster.nodes=2", f"cluster.rdzv_endpoint=127.0.0.1:{free_port()}", "cluster.timeout_s=12")
    processes = [
        yoloscale.start_training("lost", *OPTIONS, *nodes, *place, ranks=1)
        for place in (("--node-rank", "0"), ("--node-rank", "1"))
    ]
    both = [yoloscale.finish(process, "lost", code=0, timeout_s=900) for process in processes]
    limit_s = 60 if how == "stop" else SAVED_WITHIN_S  # one that stands still has its time-out first
    check_end(both[0], straight, told, float((tmp_path / "failed-at").read_text()), limit_s=limit_s)
    assert all(told in done.output for done in both), "\n".join(done.output for done in both)


@pytest.mark.parametrize("group", ["blocking", "gloo"])
def test_where_rank_0_is_gone_another_one_saves(
    yoloscale: Any, blocking: Any, straight: Any, tmp_path: Path, group: str
) -> None:
    """In the first epoch: after one, nobody else saves before rank 0 has written that epoch's weights."""
    blocking("kill:0:5", group)
    done = yoloscale.train("lost", *OPTIONS)
    (saved,) = [event for event in done.events("checkpoint_saved") if event["reason"] == "failure"]
    assert saved["step"] == 4
    assert saved["taken"] - float((tmp_path / "failed-at").read_text()) <= SAVED_WITHIN_S
    assert done.events("restarted")[0]["rank"] == 0
    assert done.trace == straight.trace
