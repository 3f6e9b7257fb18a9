"""Which failures say that a node is broken, and what a job leaves out for them."""

from __future__ import annotations

from typing import Any

import pytest

from yoloscale.agent.restarts import is_device_fault
from yoloscale.backends.slurm.broken_node import broken_node, excluded
from yoloscale.backends.slurm.facts import Facts
from yoloscale.backends.slurm.requeue_policy import Action, Start, decide
from yoloscale.runs.events import Event, parse

ECC = "RuntimeError: CUDA error: uncorrectable ECC error encountered"
REQUEUED = {"event": "requeued", "job": "7"}
RUNNING = Facts("RUNNING", restarts=0, left_s=None, is_preempted=False)


def failed(error: str, host: str = "node2.cluster", **more: Any) -> Event:
    return parse({"event": "failed", "rank": 3, "host": host, "error": error, **more})


@pytest.mark.parametrize(
    ("error", "is_fault"),
    [
        (ECC, True),
        ("AcceleratorError: CUDA error: all CUDA-capable devices are busy or unavailable", True),
        ("RuntimeError: CUDA error: CUDA-capable device(s) is/are busy or unavailable", True),
        ("NVMLError_GpuIsLost: GPU is lost", True),
        ("GPU 0000:3b:00.0 has fallen off the bus", True),
        ("NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off", True),
        ("GPU 3: Xid 48", True),
        ("RuntimeError: No CUDA-capable device is detected", False),  # the job may have been given none
        ("KeyError: 'maxid 3'", False),
        ("RuntimeError: CUDA error: device-side assert triggered", False),
        ("RuntimeError: CUDA error: an illegal memory access was encountered", False),
        ("OutOfMemoryError: the GPU's memory is full", False),
        ("ValueError: the loss is a teapot", False),
    ],
)
def test_what_is_a_device_that_no_program_mends(error: str, is_fault: bool) -> None:
    assert is_device_fault(error) is is_fault


def test_the_first_rank_that_failed_of_its_device_names_the_node() -> None:
    lost = failed("RuntimeError: Connection closed by peer", "node1", collateral=True)
    assert broken_node([lost, failed(ECC), failed(ECC, "node3")]) == ("node2", ECC)
    assert broken_node([lost]) is None


def test_a_job_goes_on_without_the_node_as_often_as_it_may_be_requeued() -> None:
    told = [failed(ECC), parse({"event": "exited", "exit_code": 1})]
    decision = decide(Start(told, False, 0), RUNNING, 0, 2, warning_s=60)
    assert (decision.action, decision.broken) == (Action.requeue, "node2")
    assert "a GPU of node2 is broken" in decision.cause
    assert decide(Start(told, False, 2), RUNNING, 0, 2, warning_s=60).action is Action.give_up
    assert decide(Start(told, False, 0), RUNNING, 0, 0, warning_s=60).action is Action.end
    other = [failed("ValueError: x"), told[1]]
    assert decide(Start(other, False, 0), RUNNING, 0, 2, warning_s=60).action is Action.end


def test_nodes_that_were_left_out_before_stay_left_out() -> None:
    history = [
        parse({**REQUEUED, "excluded": ["node1"]}),
        parse(REQUEUED),
    ]
    assert excluded(history, "7", "node[8-9]", "node2") == ["node[8-9]", "node1", "node2"]
    assert excluded(history, "8", None, "node2") == ["node2"]
