"""A launcher of a point without torchrun: `python -m standin_supervise RUN DESCRIPTOR`, as a pool starts it.

RUN/standin.json: {"steps", "step_s", "save_s" (how long a stop takes), "fail": step at which it fails, "crash": step at
which it ends without a word, "hold": whether its last step waits for RUN/go}. Each step is a line of trace.jsonl; a
later start goes on after the last one. A start is a line of starts.jsonl, with the GPUs and CPUs that it was given.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

from yoloscale.runs import events, jsonl
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.variables import CPU_SHARE

stops: list[int] = []


def main() -> int:
    run = RunDirectory(Path(sys.argv[1]))
    fcntl.flock(int(sys.argv[2]), fcntl.LOCK_EX | fcntl.LOCK_NB)  # the same lock; fails where it is not inherited
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: stops.append(received))
    script = json.loads((run.path / "standin.json").read_text())
    if script.get("crash") == 0:
        os._exit(3)
    attempt = events.last_attempt(events.history(run)) + 1
    events.append(run, events.AttemptLaunched(attempt=attempt, host=socket.gethostname(), pid=os.getpid(), argv=[]))
    steps = script["steps"]
    started = events.TrainingStarted(
        attempt=attempt,
        epochs=1,
        steps_per_epoch=steps,
        epoch=1,
        step=0,
        images=None,
        batch=16,
        plan="",
        precision="fp32",
        workers=0,
        prefetch=None,
        memory_bytes=0,
    )
    events.append(run, started)
    began = time.time()
    exit_code = train(run, script)
    events.append(run, events.Exited(attempt=attempt, exit_code=exit_code))
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES")
    start = {"gpus": gpus, "cpus": os.environ.get(CPU_SHARE), "began": began, "ended": time.time()}
    jsonl.append(run.path / "starts.jsonl", start)
    return exit_code


def train(run: RunDirectory, script: dict[str, float]) -> int:
    for step in range(len(list(jsonl.read(run.trace))) + 1, int(script["steps"]) + 1):
        if step == script.get("fail"):
            events.append(run, events.Failed(attempt=1, rank=0, host="here", error="a teapot", collateral=False))
            return 1
        if step == script.get("crash"):
            os._exit(3)
        time.sleep(script.get("step_s", 0.02))
        while script.get("hold") and step == script["steps"] and not (stops or (run.path / "go").exists()):
            time.sleep(0.01)
        jsonl.append(run.trace, {"step": step})
        if stops:
            time.sleep(script.get("save_s", 0.0))
            is_interrupt = signal.SIGINT in stops
            preempted = events.Preempted(attempt=1, step=step, epoch=1, signal="SIGTERM", outcome="preempted")
            events.append(run, events.Cancelled() if is_interrupt else preempted)
            return 130 if is_interrupt or was_cancelled(run) else 75
    run.result.write_text(json.dumps({"metrics": {"metrics/mAP50-95(B)": 0.5}, "epochs": 1}))
    events.append(run, events.Finished(epochs=1, steps=script["steps"]))
    return 0


def was_cancelled(run: RunDirectory) -> bool:
    return any(isinstance(event, events.Cancelled) for event in events.history(run))


if __name__ == "__main__":
    sys.exit(main())
