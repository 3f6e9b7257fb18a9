"""The programs that gpu_check starts in processes of their own.

    python scripts/gpu_rank.py yolo WORD…       Ultralytics' command, counted: FILE DEVICE train key=value …
    python scripts/gpu_rank.py train FILE SHARED key=value …    a training, with this many ranks on one device (or 0)
    … gpu_rank.py rank FILE SHARED RUN          one rank of it, under torchrun
    python scripts/gpu_rank.py final RUN DEVICE FILE            metrics of RUN's best.pt on cuda or cpu

What is counted: calls of CUDA's run-time in some steps, by torch's profiler, after as many that are timed without it.
GPU_CHECK_STEPS says how many.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

STEPS = int(os.environ.get("GPU_CHECK_STEPS", "20"))
WARM_UP = min(8, STEPS)
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaGraphLaunch")
SYNCHRONISATIONS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
COPIES = ("cudaMemcpyAsync", "cudaMemcpy", "cudaMemsetAsync")
OF_TORCH = ("aten::item", "aten::copy_")  # told on CPUs, too


class Profile:
    """Times some steps, counts as many more, and writes the figures to a file. Told when each step begins."""

    def __init__(self, file: Path, device: str) -> None:
        self._file, self._is_cuda = file, device.startswith("cuda")
        self._step, self._began, self._seconds = 0, 0.0, 0.0
        self._profiler: Any = None

    def step_begins(self) -> None:
        if self._step == WARM_UP:
            self._began = self._now()
        elif self._step == WARM_UP + STEPS:
            self._seconds = self._now() - self._began
            self._start()
        elif self._step == WARM_UP + 2 * STEPS:
            self._now()
            self._profiler.stop()
            counts = {row.key: row.count for row in self._profiler.key_averages()}
            self._file.write_text(json.dumps(per_step(counts, self._seconds)), encoding="utf-8")
        self._step += 1

    def _start(self) -> None:
        from torch.profiler import ProfilerActivity, profile

        activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if self._is_cuda else [])
        self._profiler = profile(activities=activities)
        self._profiler.start()

    def _now(self) -> float:
        import torch

        if self._is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter()


def per_step(counts: dict[str, int], seconds: float) -> dict[str, Any]:
    """The figures of one step, from what a profiler counted in `STEPS`. Pure."""

    def of(names: Iterable[str]) -> float:
        return sum(counts.get(name, 0) for name in names) / STEPS

    return {
        "ms": 1e3 * seconds / STEPS,
        "launches": of(LAUNCHES),
        "synchronisations": of(SYNCHRONISATIONS),
        "copies": of(COPIES),
        "operators": of(name for name in counts if name.startswith("aten::")),
        "calls": {name: of([name]) for name in (*LAUNCHES, *SYNCHRONISATIONS, *COPIES, *OF_TORCH) if name in counts},
    }


def rank(file: str, shared: str, run: str) -> int:
    """A rank of a training, counted; or one of several that share the first device, which the product refuses."""
    from yoloscale.config.freeze import load
    from yoloscale.distributed.environment import from_environment
    from yoloscale.worker import __main__ as worker

    config, world_size = load(Path(run) / "config.yaml"), from_environment().world_size
    if int(shared):
        _share_the_first_device(world_size, config.cluster.device.value)
    else:
        _count_steps(Profile(Path(file), config.cluster.device.value))
    return worker.main([sys.argv[0], run])


def _share_the_first_device(world_size: int, kind: str) -> None:
    from yoloscale.yolo import runtime

    runtime.prepare(world_size, False)  # before Ultralytics is imported
    import torch

    from yoloscale.worker.train import train

    device = torch.device(kind, 0) if kind == "cuda" else torch.device(kind)
    train.choose_device = lambda config, ranks: device  # type: ignore[assignment]
    train.stay_near = lambda device, ranks: ranks  # type: ignore[assignment]


def _count_steps(profile: Profile) -> None:
    from yoloscale.engine.step import Stepper

    call = Stepper.__call__

    def counted(self: Stepper, *arguments: Any) -> Any:
        profile.step_begins()
        return call(self, *arguments)

    Stepper.__call__ = counted  # type: ignore[method-assign]


def yolo(file: str, device: str, *words: str) -> int:
    """Ultralytics' command with the same count."""
    sys.argv = ["yolo", *words]  # read by Ultralytics at its import
    from ultralytics.cfg import entrypoint
    from ultralytics.utils.callbacks import default_callbacks

    profile = Profile(Path(file), device)
    default_callbacks["on_train_batch_start"].append(lambda trainer: profile.step_begins())
    entrypoint()
    return 0


def train(file: str, shared: str, *tokens: str) -> int:
    """A training whose ranks are `rank`, started as our launcher starts one."""
    from yoloscale.agent.attempt import command
    from yoloscale.agent.attempts import next_spec
    from yoloscale.agent.environment import job_environment
    from yoloscale.launch.configure import configure
    from yoloscale.launch.prepare import prepare
    from yoloscale.launch.run_folder import create_or_resume
    from yoloscale.runs.tail import last_lines

    config = prepare(configure(tokens), print)
    ranks = int(shared) or config.cluster.procs_per_node
    backend = "gloo" if int(shared) else config.cluster.backend  # NCCL refuses two ranks on one GPU
    config = replace(config, cluster=replace(config.cluster, procs_per_node=ranks, backend=backend, max_restarts=0))
    taken = create_or_resume(config, [])
    argv, variables = command(next_spec(taken.run, config))
    own = [str(Path(__file__).absolute()), "rank", file, shared]
    argv[-3:-1] = own  # in place of -m yoloscale.worker, before the run's folder
    done = subprocess.run(argv, env=job_environment(variables, os.environ), check=False)
    if done.returncode != 0:
        print("\n".join(last_lines(taken.run.rank_log(1, 0), 4)))
    return done.returncode


def final(run: str, device: str, file: str) -> int:
    """What `final` makes of best.pt on this device."""
    from yoloscale.config.freeze import load
    from yoloscale.config.schema import Device
    from yoloscale.distributed.environment import Ranks
    from yoloscale.engine.stop_requests import StopRequests
    from yoloscale.runs.directory import RunDirectory
    from yoloscale.yolo import runtime

    runtime.prepare(1, False)
    from yoloscale.worker.train.parts import build, choose_device

    runtime.keep_offline()
    of, ranks, config = RunDirectory(Path(run)), Ranks(), load(Path(run) / "config.yaml")
    config = replace(config, amp="fp32", cluster=replace(config.cluster, device=Device(device)))
    parts = build(config, of, ranks, choose_device(config, ranks), None, StopRequests(), lambda phase: None)
    metrics = parts.evaluation.final(of.weights / "best.pt", plots=False)
    Path(file).write_text(json.dumps(metrics), encoding="utf-8")
    return 0


PROGRAMS = {"yolo": yolo, "train": train, "rank": rank, "final": final}

if __name__ == "__main__":
    sys.exit(PROGRAMS[sys.argv[1]](*sys.argv[2:]))
