from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from yoloscale.agent.spec import NodeSpec, among
from yoloscale.agent.torchrun import TorchrunFeatures, installed_features, render

SPEC = NodeSpec(run=Path("/runs/a b"), attempt=3, job_id="id3", procs_per_node=4, threads=2)


def test_one_node_stays_on_loopback_with_a_free_port() -> None:
    argv = render(SPEC, TorchrunFeatures())
    assert argv[:3] == [sys.executable, "-m", "torch.distributed.run"]
    assert argv[-3:] == ["-m", "yoloscale.worker", "/runs/a b"]
    for flag in ("--nnodes=1", "--nproc-per-node=4", "--max-restarts=0", "--rdzv-id=id3"):
        assert flag in argv
    assert "--rdzv-endpoint=127.0.0.1:0" in argv
    assert "--local-addr=127.0.0.1" in argv


def test_several_nodes_meet_at_the_first() -> None:
    nodes = [replace(SPEC, nodes=2, node_rank=rank, rdzv_endpoint="host0:29500") for rank in (0, 1)]
    first, second = (render(spec, TorchrunFeatures()) for spec in nodes)
    assert "--nnodes=2" in first
    assert "--rdzv-endpoint=host0:29500" in second
    assert {"--rdzv-backend=static", "--node-rank=0"} <= {*first}, "ranks in the order of the nodes"
    assert {"--rdzv-backend=static", "--node-rank=1"} <= {*second}


def test_an_endpoint_of_several_nodes_has_a_port_and_brackets_where_it_needs_them() -> None:
    for typed, given in (("host0", "host0:29500"), ("[fd00::1]:41", "[fd00::1]:41"), ("10.0.0.1:7", "10.0.0.1:7")):
        argv = render(replace(SPEC, nodes=2, rdzv_endpoint=typed), TorchrunFeatures())
        assert f"--rdzv-endpoint={given}" in argv


def test_an_attempt_has_the_nodes_that_came_and_no_agent_lets_in_more() -> None:
    """torchrun 2.14.1 ends both nodes of `--nnodes=1:2` when the second one comes late."""
    spec = replace(SPEC, nodes=3, rdzv_endpoint="host0:29500")
    assert "--nnodes=3" in render(spec, TorchrunFeatures())
    third = render(among(replace(spec, node_rank=2), (0, 2)), TorchrunFeatures())
    assert {"--nnodes=2", "--node-rank=1"} <= {*third}
    alone = render(among(spec, (0,)), TorchrunFeatures())
    assert "--nnodes=1" in alone
    assert "--rdzv-endpoint=127.0.0.1:0" in alone


def test_only_requests_to_stop_are_passed_on() -> None:
    assert "--signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGUSR1" in render(SPEC, TorchrunFeatures())


def test_flags_that_an_older_torch_lacks_are_left_out() -> None:
    argv = " ".join(render(SPEC, TorchrunFeatures(signals_to_handle=False, shutdown_timeout=False)))
    assert "signals-to-handle" not in argv
    assert "shutdown-timeout" not in argv


def test_features_are_those_of_the_installed_torchrun() -> None:
    """Asked of torchrun itself, which imports torch; the launcher reads its source instead."""
    command = [sys.executable, "-m", "torch.distributed.run", "--help"]
    help_text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    found = installed_features()
    assert found.signals_to_handle == ("--signals-to-handle" in help_text)
    assert found.shutdown_timeout == ("--shutdown-timeout" in help_text)
