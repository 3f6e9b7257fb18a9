"""A prediction's rank without torch: takes units that nobody is at and leaves files where the parts would be.

RUN/standin.json: {"unit_s": how long a unit takes, "break": {"rank", "how": a signal, "unit", "attempts"}, "until": a
file in RUN without which no rank finishes}.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from yoloscale.config.schema import PredictConfig
from yoloscale.distributed.environment import Ranks
from yoloscale.engine.stop_requests import Stop, StopRequests
from yoloscale.exit_codes import FINISHED, INTERRUPTED, STOPPED
from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory


def predict(config: PredictConfig, run: RunDirectory, ranks: Ranks, attempt: int, requests: StopRequests) -> int:
    path = run.path / "standin.json"
    script: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    images, unit = config.origin.images or 0, config.images_of_unit
    units = -(-images // unit)
    say_here(run, ranks, attempt)
    if ranks.is_first:
        done = len(parts(run))
        started = events.PredictionStarted(
            attempt=attempt, images=images, images_done=done * unit, units=units, units_done=done
        )
        events.append(run, started)
    while len(parts(run)) < units or not is_let(run, script):
        if requests.stop is not Stop.none or run.stop_request.exists():
            return stop(run, ranks, attempt, requests)
        free = [number for number in range(units) if not part(run, number).exists()]
        own = [number for number in free if number % ranks.world_size == ranks.rank]
        number = next(iter([*own, *free]), None)
        if number is None:
            time.sleep(0.02)
            continue
        break_if_told(script, ranks, attempt, number)
        time.sleep(script.get("unit_s", 0.0))
        run.predictions.mkdir(exist_ok=True)
        part(run, number).touch()
        line = {"kind": "progress", "step": len(parts(run)), "time": time.time(), "images": images}
        line |= {"images_done": min(len(parts(run)) * unit, images), "images_per_s": 10.0, "rank": ranks.rank}
        jsonl.append(run.metrics, line | {"host": ranks.host, "pid": os.getpid()})
    return finish(run, images, units)


def parts(run: RunDirectory) -> list[Path]:
    return sorted(run.predictions.glob("part-*.parquet"))


def part(run: RunDirectory, number: int) -> Path:
    return run.predictions / f"part-{number:06}.parquet"


def is_let(run: RunDirectory, script: dict[str, Any]) -> bool:
    return "until" not in script or (run.path / script["until"]).exists()


def say_here(run: RunDirectory, ranks: Ranks, attempt: int) -> None:
    mine = events.Process(ranks.rank, ranks.host, os.getpid(), "cpu", 1)
    if ranks.is_first:
        started = events.AttemptStarted(attempt=attempt, world_size=ranks.world_size, processes=(mine,))
        events.append(run, started)
    else:
        events.append(run, events.Joined(attempt=attempt, **vars(mine)))


def break_if_told(script: dict[str, Any], ranks: Ranks, attempt: int, number: int) -> None:
    told = script.get("break") or {}
    is_here = told.get("rank") == ranks.rank and attempt in told.get("attempts", [attempt])
    if is_here and told.get("unit", number) == number:
        os.kill(os.getpid(), signal.Signals[told["how"]])


def stop(run: RunDirectory, ranks: Ranks, attempt: int, requests: StopRequests) -> int:
    is_interrupt = requests.stop is Stop.interrupt
    if ranks.is_first:
        outcome = "interrupted" if is_interrupt else "preempted"
        preempted = events.Preempted(
            attempt=attempt, step=len(parts(run)), epoch=0, signal=requests.reason, outcome=outcome
        )
        events.append(run, preempted)
        run.stop_request.unlink(missing_ok=True)
    return INTERRUPTED if is_interrupt else STOPPED


def finish(run: RunDirectory, images: int, units: int) -> int:
    result = {"metrics": {}, "images": images, "ok": images - 2, "empty": 0, "unreadable": 2, "failed": 0}
    if not run.result.exists():
        beside = run.path / f".result-{os.getpid()}"
        beside.write_text(json.dumps({**result, "detections": 7, "images_per_s": 81.3}))
        beside.replace(run.result)
        events.append(run, events.Finished(epochs=0, steps=units, images=images))
    return FINISHED
