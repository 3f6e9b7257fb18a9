"""What a person sees on a terminal: a real pseudo-terminal, a real launcher."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from tests.run_events import lines_of

from yoloscale.agent.stop_signals import StopSignals
from yoloscale.config.schema import Config
from yoloscale.launch.run_folder import create_or_resume

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def read_all(terminal: int, process: subprocess.Popen[bytes], timeout_s: float = 300) -> str:
    seen, deadline = b"", time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # the other side is closed
            break
        if not chunk:
            break
        seen += chunk
    process.wait(timeout_s)
    return seen.decode(errors="replace")


@pytest.fixture
def on_terminal(config: Callable[..., Config], standin: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")

    def start(**script: object) -> tuple[int, subprocess.Popen[bytes], object]:
        taken = create_or_resume(config("run"), [])
        (taken.run.path / "standin.json").write_text(json.dumps(script))
        taken.release()
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "standin_launcher", str(taken.run.path)]
        process = subprocess.Popen(command, stdout=theirs, stderr=theirs)
        os.close(theirs)
        return ours, process, taken.run

    return start


def test_a_bar_while_it_runs_and_lines_that_stay(on_terminal: Callable[..., object]) -> None:
    terminal, process, _ = on_terminal(steps=20)
    shown = read_all(terminal, process)
    plain = ESCAPES.sub("", shown)
    assert process.returncode == 0, plain
    assert "setting up: starting" in plain
    assert re.search(r"epoch 1/1  box 0\.\d+ .*%.*50\.0 images/s", plain)
    assert "training: 64 images, 1 epochs of 20 steps" in plain
    assert "run is finished" in plain
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h"), "the cursor comes back"


def test_ctrl_c_says_what_happens(on_terminal: Callable[..., object]) -> None:
    terminal, process, run = on_terminal(steps=4000)
    while not any(record["event"] == "training_started" for record in lines_of(run)):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    plain = ESCAPES.sub("", read_all(terminal, process))
    assert process.returncode == 130
    assert "Ctrl-C again ends them at once" in plain
    assert "yoloscale resume" in plain


@pytest.mark.parametrize("with_signal", [True, False], ids=["hang-up", "reader gone"])
def test_a_terminal_that_closes_costs_no_checkpoint(on_terminal: Callable[..., object], with_signal: bool) -> None:
    terminal, process, run = on_terminal(steps=4000 if with_signal else 40)
    while not any(record["event"] == "training_started" for record in lines_of(run)):
        time.sleep(0.1)
    os.close(terminal)
    if with_signal:
        process.send_signal(signal.SIGHUP)
    assert process.wait(300) == (75 if with_signal else 0)
    told = [record["event"] for record in lines_of(run)]
    assert ("preempted" if with_signal else "finished") in told
    assert told[-1] == "exited"


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as requests:
            os.kill(os.getpid(), signal.SIGHUP)
            assert requests.first is None
            os.kill(os.getpid(), signal.SIGTERM)
            assert requests.first is signal.SIGTERM
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
