"""Several nodes without a scheduler: two agents on this machine, and in two network namespaces joined by a cable."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from yoloscale.config.errors import ConfigError
from yoloscale.config.schema import Config
from yoloscale.launch.claim import claim
from yoloscale.launch.nodes import commands, newest_announcement, wait_for_first_node
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory

Make = Callable[..., Config]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def two_node_run(config: Config, **script: Any) -> RunDirectory:
    taken = claim(config, [])
    (taken.run.path / "standin.json").write_text(json.dumps({"steps": 20, **script}))
    taken.release()
    return taken.run


def node(run: RunDirectory, rank: int, *prefix: str) -> subprocess.Popen[bytes]:
    output = run.path.with_name(f"node-{rank}.output").open("wb")
    command = [*prefix, sys.executable, "-m", "standin_launcher", str(run.path), str(rank)]
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)


def output_of(run: RunDirectory, rank: int) -> str:
    return run.path.with_name(f"node-{rank}.output").read_text()


def test_commands_are_what_was_typed_and_survive_a_shell() -> None:
    typed = ["train", "name=it's $(touch x)", "data=my data.yaml", "cluster.nodes=2"]
    printed = commands(typed, 2)
    assert [shlex.split(command) for command in printed] == [
        ["yoloscale", *typed, "--node-rank", "0"],
        ["yoloscale", *typed, "--node-rank", "1"],
    ]


def test_two_agents_train_one_run(config: Make, standin: None, left_over: Callable[[], list[Any]]) -> None:
    run = two_node_run(config(nodes=2, procs_per_node=1, rdzv_endpoint=f"127.0.0.1:{free_port()}"))
    second = node(run, 1)  # it may come first
    time.sleep(0.3)
    first = node(run, 0)
    assert first.wait(90) == 0, output_of(run, 0)
    assert second.wait(30) == 0, output_of(run, 1)
    started = next(record for record in events.history(run) if record["event"] == "attempt_started")
    assert started["world_size"] == 2
    assert sum(record["event"] == "attempt_launched" for record in events.history(run)) == 1
    assert run.launch_record(1, 1).exists()
    assert not left_over()


def test_a_rank_that_dies_on_one_node_ends_the_others(config: Make, standin: None) -> None:
    script = {"steps": 4000, "break": {"rank": 1, "how": "raise", "step": 10}}
    endpoint = f"127.0.0.1:{free_port()}"
    run = two_node_run(config(nodes=2, procs_per_node=1, rdzv_endpoint=endpoint, max_restarts=0), **script)
    processes = [node(run, 0), node(run, 1)]
    before = time.monotonic()
    assert [process.wait(60) for process in processes] == [1, 1], output_of(run, 0) + output_of(run, 1)
    assert time.monotonic() - before < 40
    for rank in (0, 1):
        assert "rank 1 on" in output_of(run, rank)
        assert "the loss is a teapot" in output_of(run, rank)


@pytest.mark.long
def test_a_node_that_cannot_reach_the_first_names_the_address(config: Make, standin: None) -> None:
    endpoint = f"127.0.0.1:{free_port()}"
    run = two_node_run(config(nodes=2, procs_per_node=1, rdzv_endpoint=endpoint))
    events.record(run, events.ATTEMPT_LAUNCHED, attempt=1, host="another-host", pid=1, argv=[])
    run.launch_record(1).write_text(json.dumps({"job_id": "nobody-hosts-it"}))
    process = node(run, 1)
    exit_code = process.wait(150)
    assert exit_code == 1, output_of(run, 1)
    assert f"did not meet at {endpoint}" in output_of(run, 1)


def test_another_config_on_another_node_is_refused(config: Make) -> None:
    first = config(nodes=2, rdzv_endpoint="a:1")
    run = two_node_run(first)
    events.record(run, events.ATTEMPT_LAUNCHED, attempt=1, host="a", pid=1, argv=[])
    run.launch_record(1).write_text(json.dumps({"job_id": "x"}))
    second = config(nodes=2, rdzv_endpoint="a:1")
    second.epochs = 3
    with pytest.raises(ConfigError, match="100 on node 0, 3 here"):
        wait_for_first_node(run, second, 1, lambda line: None, timeout_s=5)
    assert wait_for_first_node(run, first, 1, lambda line: None, timeout_s=5).job_id == "x"


def test_a_first_node_that_never_comes_is_told(config: Make) -> None:
    run = two_node_run(config(nodes=2, rdzv_endpoint="a:1"))
    with pytest.raises(ConfigError, match="file system that all nodes share"):
        wait_for_first_node(run, config(), 1, lambda line: None, timeout_s=0.3)


def test_an_attempt_that_is_over_or_was_joined_is_not_joined(config: Make) -> None:
    run = two_node_run(config(nodes=2, rdzv_endpoint="a:1"))
    events.record(run, events.ATTEMPT_LAUNCHED, attempt=1, host="a", pid=1, argv=[])
    run.launch_record(1).write_text(json.dumps({"job_id": "x"}))
    assert newest_announcement(run, 1) is not None
    run.launch_record(1, 1).write_text("{}")
    assert newest_announcement(run, 1) is None
    assert newest_announcement(run, 2) is not None
    events.record(run, events.EXITED, attempt=1, exit_code=0)
    assert newest_announcement(run, 2) is None


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str]]:
    """Two network namespaces, 10.213.0.1 and 10.213.0.2, that share nothing but a veth pair."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and iproute2 to make network namespaces")
    names = (f"ys{os.getpid()}a", f"ys{os.getpid()}b")
    steps = [["netns", "add", name] for name in names]
    steps += [["link", "add", "ysa", "netns", names[0], "type", "veth", "peer", "name", "ysb", "netns", names[1]]]
    for name, device, address in ((names[0], "ysa", "10.213.0.1/24"), (names[1], "ysb", "10.213.0.2/24")):
        steps += [["-n", name, "addr", "add", address, "dev", device]]
        steps += [["-n", name, "link", "set", link, "up"] for link in ("lo", device)]
    try:
        for step in steps:
            done = subprocess.run(["ip", *step], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"network namespaces cannot be made here: ip {shlex.join(step)}: {done.stderr.strip()}")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


@pytest.mark.long
def test_two_network_namespaces_train_one_run(config: Make, standin: None, namespaces: tuple[str, str]) -> None:
    run = two_node_run(config(nodes=2, procs_per_node=2, rdzv_endpoint="10.213.0.1:29500"))
    processes = [node(run, rank, "ip", "netns", "exec", name) for rank, name in enumerate(namespaces)]
    assert [process.wait(120) for process in processes] == [0, 0], output_of(run, 0) + output_of(run, 1)
    assert json.loads(run.launch_record(1, 1).read_text())["environment"]["GLOO_SOCKET_IFNAME"] == "ysb"
    started = next(record for record in events.history(run) if record["event"] == "attempt_started")
    assert started["world_size"] == 4


@pytest.mark.long
def test_a_signal_on_one_namespace_stops_its_node(config: Make, standin: None, namespaces: tuple[str, str]) -> None:
    run = two_node_run(config(nodes=2, procs_per_node=1, rdzv_endpoint="10.213.0.1:29500"), steps=4000)
    processes = [node(run, rank, "ip", "netns", "exec", name) for rank, name in enumerate(namespaces)]
    deadline = time.monotonic() + 60
    while not any(record["event"] == "training_started" for record in events.history(run)):
        assert time.monotonic() < deadline, output_of(run, 0) + output_of(run, 1)
        time.sleep(0.1)
    for process in processes:
        process.send_signal(signal.SIGTERM)
    assert [process.wait(60) for process in processes] == [75, 75], output_of(run, 0) + output_of(run, 1)
