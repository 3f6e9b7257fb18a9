"""Does a prediction that is killed again and again find what one finds that never was? Runs both, compares all bytes.

    python scripts/chaos predict                            50 kills of ranks, agents and launchers
    python scripts/chaos predict --kills 5 --images 600     fewer, on fewer images

Kills come at random moments: in set-up, amid a unit, and while a part is being written. In the end the SHA-256 of
every part must be that of the undisturbed run's, and so must failures.csv and what result.json counts. Exit code 1 if
anything is not as it should be; the last line says so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import psutil
from chaos_victims import AGAIN, VICTIMS, drawn, kill

from yoloscale.predictions import parts
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.events import EventTail
from yoloscale.system.files import sha256_of

UNIT = 8  # images
IMAGE_SIZE = 64  # pixels
BROKEN = (7, 100)  # images that nobody can read: one in the first unit
SETTINGS = [
    "imgsz=64",
    "conf=0.0001",
    "max_det=20",
    "device=cpu",
    "cluster.procs_per_node=2",
    "cluster.threads=1",
    "cluster.max_restarts=100",
    f"predict.unit={UNIT}",
    "source=images",
    "model=untrained.pt",
]
MOMENTS = {"unit": 4, "writing": 4, "set-up": 1}
START_TIMEOUT_S = 300.0
RESERVE = 4  # units: so near its end the run is hit at once, and from then on in set-up, which costs none
PATIENCE = 3  # restarts without a new part: the launcher's pauses double with each; it is killed in this one
COUNTED = ("images", "ok", "empty", "unreadable", "failed", "detections")  # of result.json


class Chaos:
    """One prediction that is killed over and over."""

    def __init__(self, folder: Path, settings: list[str], kills: int, units: int, draw: random.Random) -> None:
        self.run = RunDirectory(folder / "runs" / "broken")
        self._folder, self._settings, self._kills, self._units, self._draw = folder, settings, kills, units, draw
        self.done: list[tuple[str, str]] = []  # victim, moment
        self._told = EventTail(self.run)
        self._ended_pause = 0  # the last one, by the attempt that it came before

    def go(self) -> int:
        """Kill and resume until the run is finished; the exit code of its last launcher."""
        try:
            return self._go()
        finally:
            self._launcher.terminate()  # nothing, but for this script being broken off

    def _go(self) -> int:
        launcher = self._start("predict", "name=broken", *self._settings)
        attempt = 0
        while len(self.done) < self._kills:
            victim, moment = drawn(self._draw, VICTIMS), drawn(self._draw, MOMENTS)
            reached = self._wait_for(moment, launcher, attempt)
            if reached is None:
                code = launcher.wait()
                if code == 0:
                    return 0
                launcher = self._start("resume", "broken")  # the killed one's ranks stopped in order, say
                continue
            attempt, moment = reached
            if kill(victim, launcher, self._ranks()):
                self._note(victim, moment)
                self._kill_again()
            if victim in ("launcher", "everything"):
                launcher.wait()
                launcher = self._start("resume", "broken")
        while (code := launcher.wait()) not in (0, 1, 2):
            launcher = self._start("resume", "broken")
        return code

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self._folder / "launcher.log").open("ab")
        command = [sys.executable, "-m", "yoloscale", *arguments]
        self._launcher = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)
        return self._launcher

    def _wait_for(self, moment: str, launcher: subprocess.Popen[bytes], attempt: int) -> tuple[int, str] | None:
        """The number of the attempt that is to be hit, when it is time, and the moment; None: the launcher has ended.

        A part is written in milliseconds: a write that is not seen until as much is done as a kill may cost is given
        up.
        """
        conditions: dict[str, Callable[[], bool]] = {
            "set-up": lambda: True,
            "unit": lambda: self._has_begun(),
            "writing": lambda: self._has_begun() and self._is_writing(),
        }
        deadline, wanted = time.monotonic() + START_TIMEOUT_S, self._units_done() + self._draw.randint(1, self._quota())
        while launcher.poll() is None:
            self._end_long_pause(launcher)
            number = events.last_attempt(self._told.history())
            if number > attempt and self._ranks():
                if self._is_near_its_end():
                    return number, "the end"
                if conditions[moment]():
                    self._sleep(moment, wanted, launcher)
                    return number, moment
                if self._units_done() >= wanted + 1:
                    return number, "unit"
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing to hit in {START_TIMEOUT_S:.0f} s: {moment}, after attempt {attempt}")
            time.sleep(0.001)
        return None

    def _sleep(self, moment: str, wanted: int, launcher: subprocess.Popen[bytes]) -> None:
        """Wait for so many units that the run lasts for all the kills, and for a part of the next one."""
        if moment == "set-up":
            deadline = time.monotonic() + self._draw.uniform(0, 4)
            while not self._has_begun() and time.monotonic() < deadline:
                time.sleep(0.005)
        elif moment == "unit":
            deadline = time.monotonic() + 10
            while self._units_done() < wanted and launcher.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(self._draw.uniform(0, 0.1))

    def _end_long_pause(self, launcher: subprocess.Popen[bytes]) -> None:
        """Kill a launcher that waits longer and longer. Nothing else runs then, so it is not one of the kills."""
        last = next(reversed(self._told.history()), None)
        is_long = isinstance(last, events.Restarted) and last.restarts >= PATIENCE
        if is_long and last.attempt > self._ended_pause:
            self._ended_pause = last.attempt
            launcher.kill()

    def _kill_again(self) -> None:
        """Often trouble comes double: another rank, while the rest is still ending."""
        if self._draw.random() > AGAIN or len(self.done) >= self._kills:
            return
        time.sleep(self._draw.uniform(0, 0.8))
        if ranks := self._ranks():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._draw.choice(ranks), signal.SIGKILL)
                self._note("another rank", "again")

    def _note(self, victim: str, moment: str) -> None:
        self.done.append((victim, moment))
        print(
            f"{len(self.done):3d}  {victim:<12}  {moment:<8}  {self._units_done()} of {self._units} units", flush=True
        )

    def _ranks(self) -> list[int]:
        """The processes of ranks that are there; no event names them all, since none waits for the others."""
        pids = []
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if words[-2:] == ["yoloscale.worker", str(self.run.path)] and "torch.distributed.run" not in words:
                pids.append(process.pid)
        return sorted(pids)

    def _has_begun(self) -> bool:
        """Whether rank 0 of the last attempt has its model."""
        number = events.last_attempt(self._told.history())
        return any(isinstance(e, events.PredictionStarted) and e.attempt == number for e in self._told.history())

    def _is_writing(self) -> bool:
        return any((self.run.path / parts.UNFINISHED).glob("*"))

    def _units_done(self) -> int:
        return len(parts.done(self.run.path))

    def _quota(self) -> int:
        """Units that may be done until the next kill."""
        return max((self._units - self._units_done()) // (self._kills - len(self.done) + 1), 1)

    def _is_near_its_end(self) -> bool:
        return self._units_done() >= self._units - RESERVE


def complaints(chaos: Chaos, whole: RunDirectory, kills: int) -> Iterator[str]:
    """What is not as it should be."""
    if len(chaos.done) < kills:
        yield f"only {len(chaos.done)} of {kills} kills: the run was finished before; give it more --images"
    ours, theirs = _digests(chaos.run), _digests(whole)
    if ours.keys() != theirs.keys():
        yield f"other parts: {sorted(ours.keys() ^ theirs.keys())}"
    for name in sorted(ours.keys() & theirs.keys()):
        if ours[name] != theirs[name]:
            yield f"{name} differs"
    one, other = (json.loads(run.result.read_text(encoding="utf-8")) for run in (chaos.run, whole))
    yield from (f"result.json: {one[key]} {key} instead of {other[key]}" for key in COUNTED if one[key] != other[key])
    if one["detections"] == 0 or one["unreadable"] != len(BROKEN):
        yield f"the runs show nothing: {one['detections']} detections, {one['unreadable']} unreadable images"
    for name in (parts.UNFINISHED, "claims"):
        if (chaos.run.path / name).exists():
            yield f"{name} is still there"


def _digests(run: RunDirectory) -> dict[str, str]:
    files = [*sorted((run.path / parts.FOLDER).iterdir()), run.path / "failures.csv", run.path / "manifest.parquet"]
    return {file.name: sha256_of(file) for file in files}


def make_images(folder: Path, count: int) -> None:
    """Images of noise, and a few files that are none."""
    folder.mkdir()
    for index in range(count):
        image = np.random.default_rng(index).integers(0, 256, (IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
        content = cv2.imencode(".jpg", image)[1].tobytes()
        (folder / f"{index:05d}.jpg").write_bytes(content[:100] if index in BROKEN else content)


def main(arguments: list[str]) -> int:
    """Predict both, compare, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--folder", type=Path, default=Path("runs/chaos-predict"), help="must not exist")
    parser.add_argument("settings", nargs="*", metavar="key=value")
    given = parser.parse_args(arguments)
    folder, settings = given.folder.absolute(), [*SETTINGS, *given.settings]
    folder.mkdir(parents=True)
    make_images(folder / "images", given.images)
    untrained = ["-m", "yoloscale.yolo.untrained", "yolo26n.yaml", "untrained.pt"]
    subprocess.run([sys.executable, *untrained], cwd=folder, check=True)
    whole = RunDirectory(folder / "runs" / "whole")
    subprocess.run([sys.executable, "-m", "yoloscale", "predict", "name=whole", *settings], cwd=folder, check=True)
    chaos = Chaos(folder, settings, given.kills, -(-given.images // UNIT), random.Random(given.seed))
    began = time.monotonic()
    code = chaos.go()
    print(f"{len(chaos.done)} kills in {time.monotonic() - began:.0f} s: {dict(Counter(who for who, _ in chaos.done))}")
    print(f"moments: {dict(Counter(when for _, when in chaos.done))}")
    told = chaos.run.path / "events"
    isolated = sum(path.read_text(encoding="utf-8").count("it is done image by image") for path in told.iterdir())
    print(f"units that were done image by image, after two deaths at them: {isolated}")
    found = [f"the last launcher exited with {code}"] if code else list(complaints(chaos, whole, given.kills))
    print("\n".join(found) if found else "the same bytes in every part as without a kill")
    return 1 if found else 0
