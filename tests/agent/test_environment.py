from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from yoloscale.agent.environment import job_environment, job_variables, visible_gpus
from yoloscale.agent.spec import NodeSpec
from yoloscale.config.schema import Device
from yoloscale.system import network

SPEC = NodeSpec(run=Path("/r"), attempt=2, job_id="id", procs_per_node=2, threads=3)


def test_threads_attempt_and_mark() -> None:
    variables = job_variables(SPEC, {}, interface=None)
    assert variables["OMP_NUM_THREADS"] == variables["MKL_NUM_THREADS"] == "3"
    assert variables["YOLOSCALE_ATTEMPT"] == "2"
    assert variables["YOLOSCALE_JOB"] == "id-0"
    assert "GLOO_SOCKET_IFNAME" not in variables
    assert "YOLOSCALE_STOP_AT" not in variables


def test_the_time_to_stop_at_reaches_the_ranks() -> None:
    variables = job_variables(replace(SPEC, stop_at=1700000000.25), {}, interface=None)
    assert float(variables["YOLOSCALE_STOP_AT"]) == 1700000000.25


@pytest.mark.parametrize(
    ("gpus", "already_visible", "expected"),
    [((0, 2), None, "0,2"), (None, "4,5", None), ((0, 1), "4,5", "4,5"), ((1,), "GPU-a, GPU-b", "GPU-b")],
)
def test_gpus_count_among_those_visible(
    gpus: tuple[int, ...] | None, already_visible: str | None, expected: str | None
) -> None:
    assert visible_gpus(replace(SPEC, device=Device.cuda, gpus=gpus), already_visible) == expected


def test_a_cpu_run_sees_no_gpu() -> None:
    assert job_variables(SPEC, {"CUDA_VISIBLE_DEVICES": "0"}, interface=None)["CUDA_VISIBLE_DEVICES"] == ""


def test_traces_of_an_outer_torchrun_are_not_passed_on() -> None:
    inherited = {"RANK": "1", "MASTER_PORT": "1", "TORCHELASTIC_RUN_ID": "x", "HOME": "/h", "OMP_NUM_THREADS": "64"}
    assert job_environment({"OMP_NUM_THREADS": "3"}, inherited) == {"HOME": "/h", "OMP_NUM_THREADS": "3"}


def test_an_interface_that_was_chosen_stays() -> None:
    assert job_variables(SPEC, {}, interface="eth1")["GLOO_SOCKET_IFNAME"] == "eth1"
    assert "GLOO_SOCKET_IFNAME" not in job_variables(SPEC, {"GLOO_SOCKET_IFNAME": "ib0"}, interface="eth1")


def test_nccl_is_told_the_interface_where_there_are_other_nodes() -> None:
    nodes = replace(SPEC, nodes=2, rdzv_endpoint="head:29500")
    assert "NCCL_SOCKET_IFNAME" not in job_variables(SPEC, {}, interface="lo")
    assert "NCCL_SOCKET_IFNAME" not in job_variables(nodes, {}, interface=None)
    assert job_variables(nodes, {}, interface="eth1")["NCCL_SOCKET_IFNAME"] == "=eth1"
    assert "NCCL_SOCKET_IFNAME" not in job_variables(nodes, {"NCCL_SOCKET_IFNAME": "^lo"}, interface="eth1")


def test_loaders_may_be_forked_beside_efa() -> None:
    nodes = replace(SPEC, nodes=2, rdzv_endpoint="head:29500")
    assert "FI_EFA_FORK_SAFE" not in job_variables(SPEC, {}, interface=None)
    assert job_variables(nodes, {}, interface=None)["FI_EFA_FORK_SAFE"] == "1"
    assert "FI_EFA_FORK_SAFE" not in job_variables(nodes, {"FI_EFA_FORK_SAFE": "0"}, interface=None)


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("host0:29400", ("host0", 29400)),
        ("host0", ("host0", 29500)),
        ("[fe80::1]:5", ("fe80::1", 5)),
        ("[::1]", ("::1", 29500)),
    ],
)
def test_endpoints(endpoint: str, expected: tuple[str, int]) -> None:
    assert network.split_endpoint(endpoint) == expected


def test_address_and_interface_on_the_route() -> None:
    assert network.address_towards("127.0.0.1", 29500) == "127.0.0.1"
    assert network.interface_of("127.0.0.1") == "lo"
    assert network.interface_towards("127.0.0.1", 29500) == "lo"
    assert network.address_towards("no.such.host.invalid", 1) is None
    assert network.interface_towards("no.such.host.invalid", 1) is None
