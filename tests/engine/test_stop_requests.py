"""Requests to stop: real signals to a real process, and what ranks that ask for different things agree on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from yoloscale.engine.stop_requests import Stop, StopRequests, agree

SOURCE = Path(__file__).parents[2] / "src"
PROGRAM = """
import signal, time, types
from yoloscale.engine import stop_requests
now = [100.0]
stop_requests.time = types.SimpleNamespace(monotonic=lambda: now[0])  # goes on with SIGWINCH, and only then
later = []
signal.signal(signal.SIGWINCH, lambda *_: later.append(stop_requests.SAME_INTERRUPT_S))
requests = stop_requests.StopRequests()
requests.listen()
last = requests.stop
print("listening", flush=True)
try:
    while True:
        time.sleep(0.01)
        if later:
            now[0] += later.pop()
            print("later", flush=True)
        if requests.stop is not last:
            last = requests.stop
            print(requests.stop.name, requests.reason, flush=True)
except KeyboardInterrupt:
    print("quits", flush=True)
"""


def test_one_number_per_reason() -> None:
    requests = StopRequests()
    assert requests.numbers() == [0, 0, 0, 0]
    requests.ask(Stop.time_limit)
    assert requests.numbers() == [1, 0, 0, 0]
    requests.ask(Stop.interrupt)
    requests.ask(Stop.terminate)
    assert requests.numbers() == [0, 0, 1, 0], "the strongest request stays"


@pytest.mark.parametrize(
    ("sums", "decision"),
    [
        ([0, 0, 0, 0], (Stop.none, False)),
        ([1, 0, 0, 0], (Stop.time_limit, False)),
        ([1, 3, 0, 2], (Stop.terminate, True)),
        ([0, 63, 1, 0], (Stop.interrupt, False)),
    ],
)
def test_the_strongest_request_of_any_rank_wins(sums: list[float], decision: tuple[Stop, bool]) -> None:
    assert agree(sums) == decision


def test_signals_become_requests_and_a_second_interrupt_quits() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(SOURCE)}
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "listening\n"
            process.send_signal(signal.SIGTERM)
            assert process.stdout.readline() == "terminate SIGTERM\n"
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupt SIGINT\n"
            process.send_signal(signal.SIGINT)  # the same one, passed on by the agent
            process.send_signal(signal.SIGWINCH)
            assert process.stdout.readline() == "later\n"
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "quits\n"
        finally:
            process.kill()


DEAF = """
import sys, time
from yoloscale.engine.stop_requests import StopRequests
requests = StopRequests()
requests.listen()
print("listening", flush=True)
sys.stdin.readline()
requests.stop_listening()
print("deaf", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("is_early", [False, True])
def test_a_program_with_nothing_to_save_ends_at_once(number: signal.Signals, is_early: bool) -> None:
    """Also where it was asked to before it stopped listening: it raises KeyboardInterrupt then."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    environment = {"PYTHONPATH": str(SOURCE)}
    with subprocess.Popen([sys.executable, "-c", DEAF], text=True, env=environment, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert process.stdout.readline() == "listening\n"
            if is_early:
                process.send_signal(number)
            process.stdin.write("\n")
            process.stdin.flush()
            if not is_early:
                assert process.stdout.readline() == "deaf\n"
                process.send_signal(number)
            ended = process.wait(300)
            is_interrupt = is_early or number is signal.SIGINT
            assert ended == -(signal.SIGINT if is_interrupt else number)
            assert ("KeyboardInterrupt" in process.stderr.read()) == is_interrupt
        finally:
            process.kill()
