"""What does a W&B server that does not answer cost? Trains with it and without any logger, and compares.

    python scripts/logger_cost.py                           4 minutes of each, on rendered images
    python scripts/logger_cost.py --minutes 9 imgsz=320     longer, on settings of your own
    python scripts/logger_cost.py --logger none             the same twice: how far the figures can be trusted

The server is a socket that takes connections and never says a word. Both runs are there all the time, on the same CPU,
and have it in turns of 1.5 s: the one whose turn it is not is stopped, W&B's processes included. Whatever else the
machine does hits both alike, and all that W&B uses is taken from the training, as on a machine without CPUs to spare.

`from the first step` has W&B's start in it, and the server being given up, once a run, however long that is; `once
started` leaves out the first 20 s. CPU is of the loop's thread and of everything, W&B's own processes included. The
same run twice differs by about one per cent. Exit code 1 if one of the speeds is more than 2 % below that without a
logger, or a run does not end in order.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory

LIMIT = 0.02
TURN_S = 1.5
WARM_UP_S = 20.0  # of its own turns
START_S, END_S = 120.0, 180.0  # how long it may take a run to start, to end
SETTINGS = [
    *("data.shapes.train_images=64", "data.shapes.val_images=16", "data.shapes.image_size=160", "imgsz=160"),
    *("model=yolo26n.yaml", "batch=8", "nbs=8", "workers=0", "epochs=100000", "val=false", "plots=false", "device=cpu"),
    *("cluster.procs_per_node=1", "cluster.threads=1", "checkpoint.interval=epoch"),
]


@dataclass(frozen=True)
class Spent:
    """What a run has done so far, in seconds."""

    run_s: float  # its turns
    steps: int
    loop_s: float  # CPU of the loop's thread
    all_s: float  # CPU of the rank and its children

    def since(self, before: Spent) -> Spent:
        """Between two moments."""
        return Spent(
            self.run_s - before.run_s,
            self.steps - before.steps,
            self.loop_s - before.loop_s,
            self.all_s - before.all_s,
        )


class Run:
    """One training, which runs only in its turns; killed on leaving it, whatever it does."""

    def __init__(self, folder: Path, name: str, logger: str, address: str, settings: list[str]) -> None:
        """Start it, and stop it at its first step."""
        self.name, self.logger, self._run_s = name, logger, 0.0
        self.directory = RunDirectory(folder / "runs" / name)
        self._log = folder / f"{name}.log"
        account = {"WANDB_BASE_URL": address, "WANDB_API_KEY": "x" * 40, "WANDB_MODE": "online"}
        command = [sys.executable, "-m", "yoloscale", "train", f"name={name}", f"logger={logger}"]
        with self._log.open("w") as output:
            self._process = subprocess.Popen(
                [*command, *SETTINGS, *settings],
                cwd=folder,
                env={**os.environ, **account},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._rank = self._started()
        self._begin = Spent(0.0, 0, 0.0, 0.0)
        self._signal(signal.SIGSTOP)
        self._begin = self.spent()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()

    def _kill(self) -> None:
        with suppress(psutil.NoSuchProcess):  # it has ended, and all below it
            launcher = psutil.Process(self._process.pid)
            for process in [launcher, *launcher.children(recursive=True)]:
                process.kill()

    def _started(self) -> psutil.Process:
        deadline = time.monotonic() + START_S
        while self._process.poll() is None and time.monotonic() < deadline:
            started = [e for e in events.history(self.directory) if isinstance(e, events.AttemptStarted)]
            if started and self._step():
                return psutil.Process(started[-1].processes[0].pid)
            time.sleep(0.05)
        self._kill()
        raise SystemExit(f"{self.name}: no step\n{self._log.read_text()}")

    def _step(self) -> int:
        return max((line["step"] for line in jsonl.read(self.directory.metrics) if line["kind"] == "step"), default=0)

    def _all(self) -> list[psutil.Process]:
        return [self._rank, *self._rank.children(recursive=True)]

    def _signal(self, number: signal.Signals) -> None:
        for process in self._all():
            with suppress(psutil.NoSuchProcess):  # a helper of W&B's that has just ended
                process.send_signal(number)

    def turn(self) -> None:
        """Let it run for a while."""
        began = time.monotonic()
        self._signal(signal.SIGCONT)
        time.sleep(TURN_S)
        self._signal(signal.SIGSTOP)
        self._run_s += time.monotonic() - began

    def spent(self) -> Spent:
        """Since its first step; while it is stopped."""
        loop = int(Path(f"/proc/{self._rank.pid}/task/{self._rank.pid}/schedstat").read_text().split()[0]) / 1e9
        everything = sum(sum(process.cpu_times()[:2]) for process in self._all())
        return Spent(self._run_s, self._step(), loop, everything).since(self._begin)

    def end(self) -> None:
        """Ask it to stop; raises if it does not end in order, or, with W&B, leaves nothing to send."""
        self._signal(signal.SIGCONT)
        self._process.terminate()
        if self._process.wait(END_S) != 75:  # stopped on request
            raise SystemExit(f"{self.name}: exit code {self._process.returncode}\n{self._log.read_text()}")
        if self.logger == "wandb" and not list(self.directory.path.glob("wandb/offline-run-*/*.wandb")):
            raise SystemExit(f"{self.name}: nothing to send")


def main() -> int:
    """Train two runs in turns, print their figures; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4.0, help="of each run")
    parser.add_argument("--logger", default="wandb", help="what is compared with none")
    parser.add_argument("--cpus", type=int, default=1, help="how many the runs may use")
    parser.add_argument("settings", nargs="*", help="key=value, as for yoloscale train")
    parsed = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-parsed.cpus :])  # the runs have it from here
    turns = round(parsed.minutes * 60 / TURN_S)
    warm_up = round(WARM_UP_S / TURN_S)
    if turns <= warm_up:
        raise SystemExit(f"--minutes={parsed.minutes:g} is no longer than the first {WARM_UP_S:.0f} s")
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0), backlog=256) as silent,
        ExitStack() as runs,
    ):
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        plain = runs.enter_context(Run(Path(folder), "plain", "none", address, parsed.settings))
        logged = runs.enter_context(Run(Path(folder), "logged", parsed.logger, address, parsed.settings))
        started = plain.spent(), logged.spent()
        for turn in range(turns):
            for run in (plain, logged) if turn % 2 == 0 else (logged, plain):
                run.turn()
            if turn + 1 == warm_up:
                started = plain.spent(), logged.spent()
        whole = plain.spent(), logged.spent()
        plain.end()
        logged.end()
    speeds = [
        compare("from the first step", *whole),
        compare("once started", whole[0].since(started[0]), whole[1].since(started[1])),
    ]
    return 0 if min(speeds) >= 1 - LIMIT else 1


def compare(name: str, plain: Spent, logged: Spent) -> float:
    """Print what the logger changes; the ratio of the speeds."""
    speed = (logged.steps / logged.run_s) / (plain.steps / plain.run_s)
    loop = (logged.loop_s / logged.steps) / (plain.loop_s / plain.steps)
    everything = (logged.all_s / logged.steps) / (plain.all_s / plain.steps)
    print(
        f"{name}: {plain.steps / plain.run_s:.2f} → {logged.steps / logged.run_s:.2f} steps/s, {speed - 1:+.2%}; "
        f"CPU for a step: the loop {loop - 1:+.2%}, everything {everything - 1:+.2%}"
    )
    return speed


if __name__ == "__main__":
    sys.exit(main())
