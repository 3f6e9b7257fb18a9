"""Launchers of several nodes on this machine, and network namespaces for them."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.run_events import lines_of

from yoloscale.agent.leftovers import processes_of
from yoloscale.config.schema import Config
from yoloscale.launch.run_folder import create_or_resume
from yoloscale.runs.directory import RunDirectory


def two_node_run(config: Config, **script: Any) -> RunDirectory:
    taken = create_or_resume(config, [])
    (taken.run.path / "standin.json").write_text(json.dumps({"steps": 20, **script}))
    taken.release()
    return taken.run


def node(run: RunDirectory, rank: int, *prefix: str) -> subprocess.Popen[bytes]:
    output = run.path.with_name(f"node-{rank}.output").open("wb")
    command = [*prefix, sys.executable, "-m", "standin_launcher", str(run.path), str(rank)]
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)


def output_of(run: RunDirectory, rank: int) -> str:
    return run.path.with_name(f"node-{rank}.output").read_text()


def told(run: RunDirectory, event: str) -> list[dict[str, Any]]:
    return [record for record in lines_of(run) if record["event"] == event]


def until_attempt_trains(run: RunDirectory, attempt: int, timeout_s: float = 600) -> None:
    deadline = time.monotonic() + timeout_s
    while not any(record["attempt"] == attempt for record in told(run, "training_started")):
        assert time.monotonic() < deadline, "".join(output_of(run, rank) for rank in (0, 1)) + str(lines_of(run))
        time.sleep(0.1)


def lose_power(run: RunDirectory, launcher: subprocess.Popen[bytes], attempt: int, node_rank: int) -> None:
    """Everything of a node goes at once; its ranks first, so that nobody has the time to tell them to save."""
    mark = f"{json.loads(run.launch_record(attempt).read_text())['job_id']}-{node_rank}"
    children = {entry["pid"] for entry in told(run, "attempt_started")[-1]["processes"]}
    for pid in sorted(processes_of(mark), key=lambda pid: pid not in children):
        os.kill(pid, signal.SIGKILL)
    launcher.kill()
    launcher.wait()


@contextlib.contextmanager
def cabled(count: int) -> Iterator[list[str]]:
    """Network namespaces 10.213.0.1, …2 and so on, that share nothing but a switch: interfaces ysa, ysb, …"""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        _miss("needs root and iproute2 to make network namespaces")
    switch, *names = [f"ys{os.getpid()}{letter}" for letter in "sabcdef"[: count + 1]]
    steps = [["netns", "add", name] for name in (switch, *names)]
    steps += [["-n", switch, "link", "add", "hub", "type", "bridge"], ["-n", switch, "link", "set", "hub", "up"]]
    for number, name in enumerate(names, start=1):
        device, port = f"ys{name[-1]}", f"port{number}"
        steps += [["link", "add", device, "netns", name, "type", "veth", "peer", "name", port, "netns", switch]]
        steps += [["-n", switch, "link", "set", port, "master", "hub"], ["-n", switch, "link", "set", port, "up"]]
        steps += [["-n", name, "addr", "add", f"10.213.0.{number}/24", "dev", device]]
        steps += [["-n", name, "link", "set", link, "up"] for link in ("lo", device)]
    try:
        for step in steps:
            done = subprocess.run(["ip", *step], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                _miss(f"network namespaces cannot be made here: ip {shlex.join(step)}: {done.stderr.strip()}")
        yield names
    finally:
        for name in (switch, *names):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def _miss(what: str) -> None:
    pytest.fail(what) if "CI" in os.environ else pytest.skip(what)
