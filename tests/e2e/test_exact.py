"""A run that was stopped and killed at every kind of place, in every way, ends as one that never was, bit for bit."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from tests.run_events import lines_of

from yoloscale.checkpoint.compare import differing
from yoloscale.runs import jsonl
from yoloscale.runs.directory import RunDirectory

STEPS = 3  # an epoch: 48 images in 6 forward passes of 8, two of them a step
EPOCHS = 6  # the last two are left alone: on a busy machine a signal arrives some steps late
RUN = (
    "data.shapes.train_images=48",
    "data.shapes.val_images=32",
    "data.shapes.image_size=160",
    "data=shapes",
    "batch=8",
    "nbs=16",
    f"epochs={EPOCHS}",
    "warmup_epochs=1",
    "close_mosaic=4",
    "patience=5",
    "checkpoint.every_steps=2",
    "debug.trace=true",
    "cluster.threads=1",
    "cluster.max_restarts=0",
    "workers=0",
)
MAY_DIFFER = {"time"}  # columns of results.csv


Started = tuple[str, "subprocess.Popen[str]"]  # a run's name, its launcher


def resume(yoloscale: Any, name: str, again: Callable[[], Any]) -> Started:
    return name, yoloscale.start("resume", name)


def train_again(yoloscale: Any, name: str, again: Callable[[], Any]) -> Started:
    """By the command that began it: the same name with the same config goes on."""
    return name, again()


def resume_elsewhere(yoloscale: Any, name: str, again: Callable[[], Any]) -> Started:
    """A run folder that was moved: it holds no path to itself."""
    moved = f"{name}, moved"
    yoloscale.run_of(name).path.rename(yoloscale.run_of(moved).path)
    return resume(yoloscale, moved, again)


@dataclass(frozen=True)
class Interruption:
    """Something that happens once `steps` steps are done, that is within the next one, or in the evaluation."""

    steps: int
    how: Callable[[Any, subprocess.Popen[str]], None]
    codes: tuple[int, ...]
    lost: int  # steps that may have to be done again; where a slow disk is amid a checkpoint, two intervals of 2 steps
    then: Callable[[Any, str, Callable[[], Any]], Started] = resume


def ranks_of(run: RunDirectory) -> list[int]:
    started = [event for event in lines_of(run) if event["event"] == "attempt_started"][-1]
    return [process["pid"] for process in started["processes"]]


def to_launcher(number: signal.Signals) -> Callable[[Any, subprocess.Popen[str]], None]:
    return lambda run, launcher: launcher.send_signal(number)


def to_ranks(number: signal.Signals, which: slice) -> Callable[[Any, subprocess.Popen[str]], None]:
    def send(run: RunDirectory, launcher: subprocess.Popen[str]) -> None:
        for pid in ranks_of(run)[which]:
            os.kill(pid, number)

    return send


def kill_agent(run: RunDirectory, launcher: subprocess.Popen[str]) -> None:
    import psutil

    psutil.Process(ranks_of(run)[0]).parent().kill()


def kill_all_there_is(run: RunDirectory, launcher: subprocess.Popen[str]) -> None:
    """As a power cut does."""
    import psutil

    everybody = [psutil.Process(pid) for pid in ranks_of(run)]
    launcher.kill()
    for process in [everybody[0].parent(), *everybody]:
        process.kill()


def ask_by_file(run: RunDirectory, launcher: subprocess.Popen[str]) -> None:
    run.stop_request.touch()


FIRST, LAST = slice(0, 1), slice(-1, None)
INTERRUPTIONS = [
    Interruption(1, to_launcher(signal.SIGTERM), (75,), 0, train_again),  # amid an epoch, in warm-up
    Interruption(2, to_ranks(signal.SIGKILL, LAST), (1,), 2),  # in the last step of an epoch
    Interruption(3, to_ranks(signal.SIGUSR1, LAST), (75,), 0),  # in the evaluation, or the first step after it
    Interruption(5, to_ranks(signal.SIGTERM, FIRST), (75,), 0),  # last step; mosaic closes with the next one
    Interruption(6, kill_all_there_is, (-signal.SIGKILL,), 4, resume_elsewhere),  # in the evaluation
    Interruption(7, ask_by_file, (75,), 0),
    Interruption(8, to_ranks(signal.SIGKILL, slice(None)), (1,), 4),
    Interruption(10, kill_agent, (1, 75), 0),  # its ranks notice, save and end
    Interruption(11, to_launcher(signal.SIGINT), (130,), 0),
]
ONE = [INTERRUPTIONS[4]]


@pytest.mark.long
@pytest.mark.parametrize(
    ("ranks", "amp", "interruptions"),
    [(2, "fp32", INTERRUPTIONS), (1, "bf16", INTERRUPTIONS), (2, "bf16", ONE), (1, "fp32", ONE)],
)
def test_interrupted_everywhere_it_ends_with_the_same_bits(
    yoloscale: Any, model_of: Callable[[str], str], ranks: int, amp: str, interruptions: list[Interruption]
) -> None:
    settings = (*RUN, f"amp={amp}", model_of("detect"))
    # both at once: the many starts of the one leave cores idle
    never_stopped = yoloscale.start_training("whole", *settings, ranks=ranks)
    train = partial(yoloscale.start_training, "broken", *settings, ranks=ranks)
    name, process = "broken", train()
    for number, interruption in enumerate(interruptions, start=1):
        run = yoloscale.run_of(name)
        yoloscale.until(process, name, interruption.steps, attempt=number)
        interruption.how(run, process)
        assert wait(process) in interruption.codes, interruption
        done = max(line["step"] for line in jsonl.read(run.trace))
        name, process = interruption.then(yoloscale, name, train)
        restored = restored_step(yoloscale, process, yoloscale.run_of(name), number + 1)
        assert done - interruption.lost <= restored <= done, interruption
    broken = yoloscale.finish(process, name, 0, 900)
    whole = yoloscale.finish(never_stopped, "whole", 0, 900)
    assert broken.trace == whole.trace
    assert list(differing(broken.state(), whole.state())) == []
    assert results(broken) == results(whole)
    for name in ("best.pt", "last.pt"):
        mine, other = (torch.load(done.run.weights / name, weights_only=False)["model"] for done in (broken, whole))
        assert list(differing(mine.state_dict(), other.state_dict())) == []


def wait(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=900)
    assert process.returncode is not None
    return process.returncode


def restored_step(yoloscale: Any, process: subprocess.Popen[str], run: RunDirectory, attempt: int) -> int:
    """The step from which an attempt goes on, once it says so."""
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        for event in lines_of(run):
            if event["event"] == "training_started" and event["attempt"] == attempt:
                return int(event["step"])
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    raise AssertionError(f"attempt {attempt} does not train")


def results(done: Any) -> list[dict[str, str]]:
    with (done.run.path / "results.csv").open() as file:
        return [{k: v for k, v in row.items() if k.strip() not in MAY_DIFFER} for row in csv.DictReader(file)]
