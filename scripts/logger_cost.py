"""What does a W&B server that does not answer cost? Trains with it and without any logger, in turns, and compares.

    python scripts/logger_cost.py                         3 pairs of runs on rendered images, some minutes
    python scripts/logger_cost.py --pairs 5 epochs=60     more of them, on settings of your own

The server is a socket that takes connections and never says a word. Figures of a pair: steps/s by the clock, which
whatever else runs on the machine disturbs; CPU seconds for a step, of the loop's thread and of all there is (the
trackers' thread and W&B's own process, too), which it hardly does. The first 20 s are left out in both: W&B gives the
server up and starts then, once a run, however long that is. Exit code 1 if the median of the loop's is more than 2 %
above that without a logger, or a run does not end in order.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory

LIMIT = 0.02
WARM_UP_S = 20.0  # from the first step on
SETTINGS = [
    *("data.shapes.train_images=64", "data.shapes.val_images=16", "data.shapes.image_size=160", "imgsz=160"),
    *("model=yolo26n.yaml", "batch=8", "nbs=8", "workers=0", "epochs=40", "val=false", "plots=false", "device=cpu"),
    *("cluster.procs_per_node=1", "cluster.threads=1", "checkpoint.interval=epoch"),
]


@dataclass(frozen=True)
class Figures:
    """Of one run."""

    steps_per_s: float
    cpu_s: float  # of the loop's thread, for a step
    all_s: float  # of the rank and its children, for a step


@dataclass(frozen=True)
class Sample:
    """At one moment."""

    at_s: float  # of a monotonic clock
    step: int
    loop_s: float
    all_s: float


def main() -> int:
    """Train pairs of runs, print their figures; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("settings", nargs="*", help="key=value, as for yoloscale train")
    parsed = parser.parse_args()
    ratios: list[tuple[float, float, float]] = []
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0), backlog=256) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for pair in range(parsed.pairs):
            order = ["none", "wandb"] if pair % 2 == 0 else ["wandb", "none"]
            found = {each: train(Path(folder), f"{each}-{pair}", each, address, parsed.settings) for each in order}
            plain, wandb = found["none"], found["wandb"]
            ratios.append((wandb.cpu_s / plain.cpu_s, wandb.all_s / plain.all_s, wandb.steps_per_s / plain.steps_per_s))
            print(f"pair {pair + 1}: a step of the loop {plain.cpu_s * 1000:.2f} → {wandb.cpu_s * 1000:.2f} ms of CPU")
            print(_line(f"pair {pair + 1}", ratios[-1]), flush=True)
    middle = [median(column) for column in zip(*ratios, strict=True)]
    print(_line("median", middle))
    return 0 if middle[0] <= 1 + LIMIT else 1


def _line(name: str, ratios: Sequence[float]) -> str:
    loop, everything, speed = (ratio - 1 for ratio in ratios)
    return f"{name}: CPU of the loop {loop:+.2%}, with all beside it {everything:+.2%}, steps/s {speed:+.2%}"


def train(folder: Path, name: str, logger: str, address: str, settings: list[str]) -> Figures:
    """Train once; raises if it does not end in order, or, with W&B, leaves nothing to send."""
    run = RunDirectory(folder / "runs" / name)
    account = {"WANDB_BASE_URL": address, "WANDB_API_KEY": "x" * 40, "WANDB_MODE": "online"}
    process = subprocess.Popen(
        [sys.executable, "-m", "yoloscale", "train", f"name={name}", f"logger={logger}", *SETTINGS, *settings],
        cwd=folder,
        env={**os.environ, **account},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    samples = watch(run, process)
    output, _ = process.communicate(timeout=300)
    if process.returncode != 0:
        raise SystemExit(f"{name}: exit code {process.returncode}\n{output}")
    if logger == "wandb" and not list(run.path.glob("wandb/offline-run-*/*.wandb")):
        raise SystemExit(f"{name}: nothing to send")
    warm = [sample for sample in samples if sample.at_s >= samples[0].at_s + WARM_UP_S]
    if len(warm) < 2:
        raise SystemExit(f"{name}: it trained for less than {WARM_UP_S:.0f} s; give it more epochs")
    first, last = warm[0], warm[-1]
    steps = last.step - first.step
    speed = steps / (last.at_s - first.at_s)
    return Figures(speed, (last.loop_s - first.loop_s) / steps, (last.all_s - first.all_s) / steps)


def watch(run: RunDirectory, process: subprocess.Popen[str]) -> list[Sample]:
    """CPU seconds whenever metrics.jsonl has a new step, until the run has trained."""
    samples: list[Sample] = []
    rank: psutil.Process | None = None
    while process.poll() is None:
        time.sleep(0.05)
        started = [e for e in events.history(run) if e["event"] == events.ATTEMPT_STARTED]
        lines = [line["step"] for line in jsonl.read(run.metrics) if line["kind"] == "step"]
        if not started or not lines or (samples and lines[-1] == samples[-1].step):
            continue
        rank = rank or psutil.Process(started[-1]["processes"][0]["pid"])
        try:
            samples.append(Sample(time.monotonic(), lines[-1], thread_cpu_s(rank.pid), all_cpu_s(rank)))
        except (OSError, psutil.NoSuchProcess):
            break
    return samples


def all_cpu_s(rank: psutil.Process) -> float:
    """CPU seconds of a process, its threads and its children."""
    return sum(sum(each.cpu_times()[:2]) for each in [rank, *rank.children(recursive=True)])


def thread_cpu_s(pid: int) -> float:
    """CPU seconds of a process's main thread, to the nanosecond (the first number of schedstat)."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


if __name__ == "__main__":
    sys.exit(main())
