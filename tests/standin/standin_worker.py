"""A rank's program without torch: says what a training says, and breaks on command; sitecustomize puts it in.

RUN/standin.json: {"steps", "step_s", "until": a file in RUN that makes it finish at the next step, whatever the number,
"setup_s", "save_every" (steps), "save_s" (how long a save at a stop takes),
"break": {"rank", "how": "SIGKILL" | "raise" | "exit" | "hang", "step", "attempts": only in these, "setup": true to
break before training starts; "step": "stop" to break when asked to
stop}, "child": true to leave a process behind that ignores signals}. Without that file it trains until it is stopped.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from typing import Any

from yoloscale.config.schema import Config
from yoloscale.distributed.environment import Ranks
from yoloscale.engine.stop_requests import StopRequests
from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.liveness import is_alive

RANK, WORLD_SIZE, ATTEMPT = 0, 1, 1
UNTOLD = {"steps": 1_000_000}  # without standin.json: until it is asked to stop
stops: list[str] = []
saves: list[bool] = []


def newest(run: RunDirectory) -> int:
    return max((int(path.name[5:]) for path in run.checkpoints.glob("step-*")), default=0)


def save(run: RunDirectory, step: int) -> None:
    if RANK == 0:
        run.check()
        (run.checkpoints / f"step-{step:09}").mkdir(parents=True, exist_ok=True)
        saved = events.CheckpointSaved(
            step=step, epoch=1, epoch_step=0, taken=0.0, blocked_s=0.0, reason="epoch", seconds=0.0, bytes=0
        )
        events.append(run, saved)


def whereabouts(run: RunDirectory, rank: int) -> tuple[str, int]:
    """A rank's host and pid, when it has put them down."""
    host, pid = (run.path / f"pid-{ATTEMPT}-{rank}").read_text().split()
    return host, int(pid)


def announce(run: RunDirectory, script: dict[str, Any], first_step: int) -> None:
    """Rank 0 waits until every rank has put its pid down, then speaks for all."""
    steps = script["steps"]
    beside = run.path / f".pid-{ATTEMPT}-{RANK}"  # none of them is seen empty
    beside.write_text(f"{socket.gethostname()} {os.getpid()}")
    beside.replace(run.path / f"pid-{ATTEMPT}-{RANK}")
    while len(list(run.path.glob(f"pid-{ATTEMPT}-*"))) < WORLD_SIZE:
        time.sleep(0.02)
    if RANK == 0:
        found = [whereabouts(run, rank) for rank in range(WORLD_SIZE)]
        processes = [
            {"rank": rank, "host": host, "pid": pid, "device": "cpu"} for rank, (host, pid) in enumerate(found)
        ]
        events.append(run, events.AttemptStarted(attempt=ATTEMPT, world_size=WORLD_SIZE, processes=processes))
        events.append(run, events.Setup(attempt=ATTEMPT, phase="data"))
    time.sleep(script.get("setup_s", 0.0))
    break_if_told(script, None)
    (run.path / f"ready-{ATTEMPT}-{RANK}").touch()
    while len(list(run.path.glob(f"ready-{ATTEMPT}-*"))) < WORLD_SIZE:
        time.sleep(0.02)
        meet(run)
    if RANK == 0:
        started = events.TrainingStarted(
            attempt=ATTEMPT,
            epochs=1,
            steps_per_epoch=steps,
            epoch=1,
            step=first_step,
            images=64,
            batch=16,
            plan="global 16 = 2 ranks × 8, accumulate 4",
            precision="fp32",
            workers=0,
            prefetch=None,
            memory_bytes=0,
        )
        events.append(run, started)


def break_if_told(script: dict[str, Any], step: int | str | None) -> None:
    """Where the script says so; `step` is None before training starts."""
    broken = script.get("break") or {}
    for each in broken if isinstance(broken, list) else [broken]:
        is_here = each.get("rank") == RANK and ATTEMPT in each.get("attempts", [ATTEMPT])
        if is_here and step == (None if each.get("setup") else each.get("step", 1)):
            break_down(each["how"])


def asked_to_stop(run: RunDirectory) -> str | None:
    """A signal, the file, or the time limit; the first rank may honour the file before another one sees it."""
    if stops:
        return stops[0]
    if run.stop_request.exists():
        return "STOP"
    return "deadline" if time.time() >= float(os.environ.get("YOLOSCALE_STOP_AT", "inf")) else None


def meet(run: RunDirectory) -> None:
    """As an all-reduce: fails where another rank of this host is gone that did not leave in order."""
    for rank in range(WORLD_SIZE):
        has_left = (run.path / f"left-{ATTEMPT}-{rank}").exists()
        if not has_left and is_alive(*whereabouts(run, rank), time.time()) is False:
            raise ConnectionError("Connection closed by peer")


def leave(run: RunDirectory, exit_code: int) -> int:
    (run.path / f"left-{ATTEMPT}-{RANK}").touch()
    return exit_code


def break_down(how: str) -> None:
    print(f"about to {how}", flush=True)
    if how == "raise":
        raise ValueError("the loss is a teapot")
    if how == "ecc":
        raise RuntimeError("CUDA error: uncorrectable ECC error encountered")
    if how == "exit":
        os._exit(3)
    if how == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        time.sleep(600)
    os.kill(os.getpid(), signal.Signals[how])


def train(run: RunDirectory, script: dict[str, Any], first_step: int) -> int:
    for step in range(first_step + 1, script["steps"] + 1):
        break_if_told(script, step)
        time.sleep(script.get("step_s", 0.05))
        meet(run)
        if saves:
            saves.clear()
            save(run, step)
        if (asked := asked_to_stop(run)) is not None:
            break_if_told(script, "stop")
            time.sleep(script.get("save_s", 0.0))
            save(run, step)
            if RANK == 0:
                preempted = events.Preempted(attempt=ATTEMPT, step=step, epoch=1, signal=asked, outcome="preempted")
                events.append(run, preempted)
                run.stop_request.unlink(missing_ok=True)
            time.sleep(0.3)  # nobody leaves before the checkpoint is there
            return leave(run, 130 if asked == "SIGINT" else 75)
        if RANK == 0:
            record = {"kind": "step", "step": step, "epoch": 1, "epoch_step": step, "train/box_loss": 1.0 / step}
            jsonl.append(run.metrics, {**record, "time": time.time(), "images_per_s": 50.0})
        if step % script.get("save_every", script["steps"] + 1) == 0:
            save(run, step)
        if "until" in script and (run.path / script["until"]).exists():
            break
    if RANK == 0:
        metrics = {"metrics/mAP50(B)": 0.75, "metrics/mAP50-95(B)": 0.5}
        jsonl.append(run.metrics, {"kind": "epoch", "epoch": 1, "train/box_loss": 0.1, "time": time.time()})
        jsonl.append(run.metrics, {"kind": "eval", "epoch": 1, **metrics, "time": time.time()})
        run.result.write_text(json.dumps({"metrics": metrics, "epochs": 1, "images_per_s": 50.0, "seconds": 2.0}))
        events.append(run, events.Finished(epochs=1, steps=script["steps"]))
    return leave(run, 0)


def stand_in(config: Config, run: RunDirectory, ranks: Ranks, attempt: int, requests: StopRequests) -> int:
    global RANK, WORLD_SIZE, ATTEMPT
    RANK, WORLD_SIZE, ATTEMPT = ranks.rank, ranks.world_size, attempt
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, lambda received, _: stops.append(signal.Signals(received).name))
    signal.signal(signal.SIGUSR2, lambda *_: saves.append(True))
    stops.extend([requests.reason] if requests.reason else [])  # what came before
    saves.extend([True] if requests.wants_checkpoint else [])
    file = run.path / "standin.json"
    script = json.loads(file.read_text()) if file.exists() else UNTOLD
    if script.get("child"):
        ignoring = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        subprocess.Popen([sys.executable, "-c", ignoring], start_new_session=True)
    first_step = newest(run)
    try:
        announce(run, script, first_step)
        print(f"rank {RANK} trains with {os.environ['OMP_NUM_THREADS']} threads", flush=True)
        return train(run, script, first_step)
    except Exception as error:
        traceback.print_exc()
        failed = events.Failed(
            attempt=ATTEMPT,
            rank=RANK,
            host=socket.gethostname(),
            error=f"{type(error).__name__}: {error}",
            traceback=traceback.format_exc(),
            collateral=isinstance(error, ConnectionError),
        )
        events.append(run, failed)
        return 1
