"""A launcher looks gently at a file system that many launchers share."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import cast

import pytest
from tests.counted_files import counted
from tests.fake_time import FakeTime
from tests.run_events import write_event

from yoloscale.agent import joining, looks, monitor
from yoloscale.agent.attempt import Observer
from yoloscale.agent.attempts import next_spec
from yoloscale.agent.monitor import POLL_S, AgentMonitor
from yoloscale.agent.stop_signals import StopSignals
from yoloscale.config.schema import Config
from yoloscale.launch.run_folder import create_or_resume
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.processes import ChildProcess

Make = Callable[..., Config]
SECONDS = 600
RESTING = 20.0  # in seconds; by then nothing has happened for long


class Agent:
    """Trains for a while; `at` says what happens when."""

    pid = 1

    def __init__(self, clock: FakeTime, at: dict[float, Callable[[], object]], lives_s: float) -> None:
        self._clock, self._begun, self._lives_s, self.at = clock, clock.now, lives_s, at
        self.sent: list[tuple[float, int]] = []

    @property
    def age(self) -> float:
        return self._clock.now - self._begun

    def wait(self, timeout_s: float) -> int | None:
        self._clock.sleep(timeout_s)
        for second in [second for second in self.at if second <= self.age]:
            self.at.pop(second)()
        return 0 if self.age >= self._lives_s else None

    def send(self, number: int) -> None:
        self.sent.append((self.age, number))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr(looks, "time", fake)
    monkeypatch.setattr(monitor, "time", fake)
    return fake


@pytest.fixture
def run(config: Make) -> Iterator[RunDirectory]:
    taken = create_or_resume(config(), [])
    taken.run.attempt_logs(1).mkdir(parents=True)
    yield taken.run
    taken.release()


def watch(
    run: RunDirectory, config: Make, clock: FakeTime, at: dict[float, Callable[[], object]], lives_s: float = 65
) -> tuple[AgentMonitor, Agent, StopSignals]:
    agent, requests = Agent(clock, at, lives_s), StopSignals()
    return (
        AgentMonitor(next_spec(run, config()), run, cast(ChildProcess, agent), requests, lambda line: None),
        agent,
        requests,
    )


def starts(run: RunDirectory) -> None:
    write_event(run, "training_started", attempt=1, epochs=1, step=0)


def test_one_that_trains_is_looked_at_once_a_second(
    run: RunDirectory, config: Make, clock: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.agent_log(1).write_text("torchrun speaks\n" * 1000)
    run.events.mkdir()
    for other in range(200):
        (run.events / f"node{other}-7.jsonl").write_text('{"event":"warning","time":1}\n')
    looked, _, _ = watch(run, config, clock, {1.0: lambda: starts(run)}, SECONDS)
    with counted(monkeypatch) as count:
        looked.until_end(lambda: None)
    looks_had = SECONDS / looks.SELDOM_S + looks.LIVELY_S / looks.OFTEN_S + 5
    assert looked.progress.is_training
    assert count["list"] <= looks_had
    assert count["open"] <= 200 + 8 * looks_had  # the files of events, and the end of the agent's log
    assert count["stat"] <= 34 * looks_had


def test_a_signal_to_the_launcher_is_passed_on_at_once(run: RunDirectory, config: Make, clock: FakeTime) -> None:
    """And as to one that trains, although the last look was before it did."""
    looked, agent, requests = watch(run, config, clock, {})
    late = RESTING + 0.25
    agent.at.update({RESTING: lambda: starts(run), late: lambda: requests.received.append(signal.SIGINT)})
    looked.until_end(lambda: None)
    when, number = agent.sent[0]
    assert number == signal.SIGINT  # one in set-up is sent SIGTERM
    assert when <= late + 2 * POLL_S


def test_what_others_write_is_seen_within_a_second(run: RunDirectory, config: Make, clock: FakeTime) -> None:
    """A rank's failure, and then the agent's word that a signal has reached it."""
    seen: dict[str, float] = {}

    def fails() -> None:
        write_event(run, "failed", attempt=1, rank=1, host="node1", error="it broke")

    def told() -> None:
        run.agent_log(1).write_text("W1 Received SIGTERM death signal, shutting down workers\n")

    def look() -> None:
        for what, is_so in {"failed": bool(looked.progress.failures), "told": looked.stop is not None}.items():
            if is_so:
                seen.setdefault(what, agent.age)

    looked, agent, _ = watch(run, config, clock, {1.0: lambda: starts(run), 50.0: fails, 60.0: told})
    looked.until_end(look)
    for what, at in {"failed": 50, "told": 60}.items():
        assert at <= seen[what] <= at + looks.SELDOM_S + 2 * POLL_S


def test_a_node_that_waits_for_node_0_looks_once_a_second(
    run: RunDirectory, config: Make, clock: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "time", clock)
    events.append(run, events.AttemptLaunched(attempt=1, host="node0", pid=1, argv=[]))
    events.append(run, events.AttemptStarted(attempt=1, world_size=1, processes=[]))
    for other in range(200):
        (run.events / f"node{other}-7.jsonl").write_text('{"event":"warning","time":1}\n')
    spec = next_spec(run, config())
    with counted(monkeypatch) as count:
        assert joining.await_next(run, spec, Observer(), StopSignals(), patience_s=SECONDS) is None
    looks_had = SECONDS / looks.SELDOM_S + looks.LIVELY_S / joining.POLL_S + 5
    assert count["list"] <= 3 * looks_had  # for the next attempt, for the last word, for signs of life
    assert count["open"] <= 200 + 30 * looks_had
    assert clock.now - 100 >= SECONDS
