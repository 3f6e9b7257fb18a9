"""The parts of gpu_check: each starts programs, reads what they have left, and returns its figures."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RANK = ROOT / "scripts" / "gpu_rank.py"
STOP_S = 30.0  # from the request to end until a program is killed
STOPPED = 75  # our command's exit code after a stop in order
TOLERANCE = 0.01  # of a metric, between a GPU and a CPU: TF32 and the order of sums move scores near a threshold
NOT_TESTED = "compiled"  # takes minutes by itself

Figures = dict[str, Any]


class PartFailed(Exception):  # noqa: N818 - reads as what happened
    """A part has no figures; says why."""


@dataclass
class Bench:
    """Where and on what everything is run.

    Args:
        is_quick: a few steps of small images: to try the code, not the machine.
    """

    out: Path
    device: str
    is_quick: bool
    deadline: float = 0.0  # of the part under way, by the monotonic clock

    def run(self, name: str, command: Sequence[str], codes: Sequence[int] = (0,)) -> str:
        """Run a program to its end, and return what it said. Raises PartFailed."""
        return self.end(name, self.start(name, command), codes)

    def start(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        paths = [str(ROOT / "src"), str(ROOT / "scripts"), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "YOLO_OFFLINE": "true"}
        environment["GPU_CHECK_STEPS"] = str(self.steps)
        with self.log(name).open("wb") as log:
            return subprocess.Popen(
                command, cwd=self.out, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def end(self, name: str, process: subprocess.Popen[bytes], codes: Sequence[int] = (0,)) -> str:
        try:
            code = process.wait(max(self.deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            raise PartFailed(f"{name} was not done in its time; see {self.log(name).name}") from None
        finally:
            end_group(process)
        said = self.log(name).read_text(encoding="utf-8", errors="replace")
        if code not in codes:
            raise PartFailed(f"{name} exited with {code}: " + " | ".join(said.strip().splitlines()[-4:]))
        return said

    @property
    def steps(self) -> int:
        """How many are timed, and counted, in a profile."""
        return 2 if self.is_quick else 20

    def log(self, name: str) -> Path:
        return self.out / f"{name}.log"

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "yoloscale", *words]

    def program(self, *words: str) -> list[str]:
        return [sys.executable, str(RANK), *words]

    def settings(self, **more: Any) -> list[str]:
        """One rank, no pictures, nothing above accumulation 1."""
        given = {"device": self.device, "cluster.procs_per_node": 1, "plots": False, "paths.runs": self.out / "runs"}
        if self.device == "cpu":
            given |= {"cluster.threads": 1, "workers": 0}
        return [
            f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in (given | more).items()
        ]

    def shapes(self, images: int, size: int) -> dict[str, Any]:
        return {
            "data.shapes.train_images": images,
            "data.shapes.val_images": 16 if self.is_quick else 64,
            "data.shapes.image_size": size,
        }


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it has started; does nothing once they are gone."""
    for number, wait_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        if process.poll() is None:
            try:
                process.wait(wait_s)
            except subprocess.TimeoutExpired:
                continue


def tests(bench: Bench) -> Figures:
    """`pytest -m gpu`, and how many have passed, also if there was no time for all."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "-m",
        "gpu",
        "-n",
        "0",
        "-k",
        f"not {NOT_TESTED}",
        "-p",
        "no:cacheprovider",
    ]
    command += ["--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml"), str(ROOT / "tests" / "e2e" / "test_gpu.py")]
    trouble = ""
    try:
        bench.run("tests", command)
    except PartFailed as failed:
        trouble = str(failed)
    said = bench.log("tests").read_text(encoding="utf-8", errors="replace")
    counts = {
        word.lower(): len(re.findall(rf"::\S+ {word}", said)) for word in ("PASSED", "FAILED", "ERROR", "SKIPPED")
    }
    if trouble and not counts["passed"]:
        raise PartFailed(trouble)
    return {
        **counts,
        "failures": re.findall(r"::(\S+) (?:FAILED|ERROR)", said),
        **({"trouble": trouble} if trouble else {}),
    }


def profile(bench: Bench, model: str, batch: int) -> Figures:
    """Launches, synchronisations and ms of a step, ours and `yolo train`'s, on the same images."""
    from yoloscale.bench import commands
    from yoloscale.bench.plan import Settings, make_plan, take_apart
    from yoloscale.cli.bench_train import located, yolo_arguments
    from yoloscale.launch.prepare import prepare

    size = 64 if bench.is_quick else 640
    sized = bench.shapes((3 * bench.steps + 2) * batch, min(size, 320))
    tokens = bench.settings(model=f"{model}.yaml", batch=batch, nbs=batch, imgsz=size, epochs=1, **sized)
    name = f"profile-{model}-{batch}"
    files = {side: bench.out / f"{name}-{side}.json" for side in ("ours", "yolo")}
    named = [f"name={name}", "--config-name=bench"]
    bench.run(f"{name}-ours", bench.program("train", str(files["ours"]), "0", *tokens, *named))
    plan = make_plan(take_apart(tokens, Settings))
    words = yolo_arguments(plan, *located(prepare(plan.config, lambda line: None)))
    told = commands.yolo(words, bench.out / "runs", f"{name}-yolo")[3:]
    bench.run(f"{name}-yolo", bench.program("yolo", str(files["yolo"]), bench.device, *told))
    figures = {side: json.loads(file.read_text(encoding="utf-8")) for side, file in files.items()}
    for side in figures.values():
        side["images_per_s"] = 1e3 * batch / side["ms"]
    return {**figures, "ours/yolo": figures["yolo"]["ms"] / figures["ours"]["ms"]}


def speed(bench: Bench, model: str, batch: int) -> Figures:
    """`yoloscale bench train`: images/s over an epoch, ours, `yolo train`'s and bare steps."""
    size = 64 if bench.is_quick else 640
    sized = bench.shapes(batch * (3 if bench.is_quick else 50), min(size, 320))
    tokens = bench.settings(model=f"{model}.yaml", batch=batch, nbs=batch, imgsz=size, epochs=1, **sized)
    said = bench.run(
        f"speed-{model}-{batch}", bench.command("bench", "train", *tokens, "bench.repeats=1", "-o", "json")
    )
    report = json.loads(said[said.index("\n{") if not said.startswith("{") else 0 :])
    ratios = {name: value["median"] for name, value in report["ratios"].items()}
    return {"images_per_s": {name: value["median"] for name, value in report["images_per_s"].items()}, **ratios}


def _small_run(bench: Bench, name: str, **more: Any) -> list[str]:
    """The settings of a run that a trace is taken of."""
    size, images, epochs = (64, 32, 2) if bench.is_quick else (128, 256, 15)
    shapes = bench.shapes(images, size)
    given = {"name": name, "model": "yolo26n.yaml", "batch": 16, "nbs": 16, "imgsz": size, "epochs": epochs}
    return bench.settings(**{**given, **shapes, "debug.trace": True, **more})


def resumed(bench: Bench) -> Figures:
    """A run that is stopped by a signal and resumed, beside one that never was: steps whose trace differs."""
    bench.run("whole", bench.command("train", *_small_run(bench, "whole")))
    process = bench.start("stopped", bench.command("train", *_small_run(bench, "stopped")))
    while len(trace(bench, "stopped")) < 2 and process.poll() is None and time.monotonic() < bench.deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    bench.end("stopped", process, codes=(STOPPED,))
    steps = len(trace(bench, "stopped"))
    bench.run("resumed", bench.command("resume", str(bench.out / "runs" / "stopped")))
    return {"stopped_after": steps, **compared(trace(bench, "whole"), trace(bench, "stopped"))}


def trace(bench: Bench, name: str) -> list[dict[str, Any]]:
    """The steps that a run has put down."""
    from yoloscale.runs import jsonl

    return list(jsonl.read(bench.out / "runs" / name / "trace.jsonl"))


def compared(whole: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]]) -> Figures:
    """How many steps differ, and in what the first of them does. Pure."""
    differing = [(a, b) for a, b in zip(whole, other, strict=False) if a != b]
    missing = abs(len(whole) - len(other))
    first = differing[0] if differing else None
    return {
        "steps": len(whole),
        "differing": len(differing) + missing,
        "first": None if first is None else [key for key in first[0] if first[0][key] != first[1].get(key)],
        "is_equal": not differing and not missing and bool(whole),
    }


def final(bench: Bench) -> Figures:
    """The metrics of one best.pt on the device and on the CPU."""
    run, devices = bench.out / "runs" / "whole", (bench.device, "cpu")
    if not (run / "weights" / "best.pt").exists():
        raise PartFailed("there is no best.pt: the part `resumed` trains it")
    files = [bench.out / f"final-{number}-{device}.json" for number, device in enumerate(devices)]
    for file, device in zip(files, devices, strict=True):
        bench.run(file.stem, bench.program("final", str(run), device, str(file)))
    here, there = (json.loads(file.read_text(encoding="utf-8")) for file in files)
    apart = {name: abs(here[name] - there[name]) for name in here}
    worst = max(apart, key=lambda name: apart[name])
    if not bench.is_quick and not any(here.values()):
        raise PartFailed("all metrics are 0 on the GPU: nothing is compared")
    shown = {name: [here[name], there[name]] for name in here if name.startswith("metrics/")}
    return {"metrics": shown, "largest_difference": apart[worst], "of": worst, "is_equal": apart[worst] <= TOLERANCE}


def snapshot(bench: Bench, model: str) -> Figures:
    """`yoloscale bench checkpoint`: for how long the loop stands still."""
    sized = bench.shapes(16 if bench.is_quick else 128, 64)
    tokens = bench.settings(model=f"{model}.yaml", batch=4, nbs=4, imgsz=64, **sized)
    few = ["bench.checkpoints=1" if bench.is_quick else "bench.checkpoints=5", "bench.repeats=1", "bench.far_step=20"]
    said = bench.run(f"snapshot-{model}", bench.command("bench", "checkpoint", *tokens, *few, "-o", "json"))
    report = json.loads(said[said.index("\n{") if not said.startswith("{") else 0 :])
    blocked = {name: 1e3 * value["median"] for name, value in report["blocked_s"].items()}
    return {
        "blocked_ms": blocked,
        "first_ms": 1e3 * report["first_blocked_s"],
        "write_ms": 1e3 * report["write_s"]["median"],
        "bytes": report["bytes"],
    }


def shared(bench: Bench) -> Figures:
    """Two ranks on one device, with gloo, beside one rank: they see the same images, and losses differ by rounding."""
    more = {"amp": False, "val": False}
    halved = {**more, "batch": 8}  # accumulated: batch norms see 8 images at a time on both
    bench.run("one", bench.program("train", "-", "1", *_small_run(bench, "one", **halved)))
    bench.run("two", bench.program("train", "-", "2", *_small_run(bench, "two", **more)))
    one, two = trace(bench, "one"), trace(bench, "two")
    losses = [[float.fromhex(line["loss"]) for line in lines] for lines in (one, two)]
    apart = [abs(a - b) / abs(a) for a, b in zip(*losses, strict=False)]
    same = [a["samples"] for a in one] == [b["samples"] for b in two]
    return {
        "steps": len(two),
        "same_images": same,
        "first_loss_differs_by": apart[0],
        "largest": max(apart),
        "is_equal": same and apart[0] < 1e-3,
    }


PARTS: dict[str, tuple[Callable[[Bench], Figures], int]] = {  # what it does, and for how long at most, in seconds
    "profile-n": (lambda bench: profile(bench, "yolo26n", 4 if bench.is_quick else 16), 100),
    "profile-m": (
        lambda bench: profile(bench, "yolo26n" if bench.is_quick else "yolo26m", 8 if bench.is_quick else 32),
        130,
    ),
    "resumed": (resumed, 120),
    "final": (final, 60),
    "snapshot-n": (lambda bench: snapshot(bench, "yolo26n"), 90),
    "snapshot-x": (lambda bench: snapshot(bench, "yolo26s" if bench.is_quick else "yolo26x"), 120),
    "shared": (shared, 90),
    "tests": (tests, 240),
    "speed-n": (lambda bench: speed(bench, "yolo26n", 4 if bench.is_quick else 16), 120),
    "speed-m": (
        lambda bench: speed(bench, "yolo26n" if bench.is_quick else "yolo26m", 8 if bench.is_quick else 32),
        150,
    ),
}
