"""Evaluation sharded over ranks gives the numbers of one process, and those of `yolo val`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from yoloscale.config.freeze import freeze, load
from yoloscale.config.schema import ShapesConfig, Task

SOURCE = Path(__file__).parents[2] / "src"
TASKS = ["detect", "segment", "pose", "obb", "classify", "semantic", "depth", "rtdetr"]
STEPS = {"classify": 20, "semantic": 20, "depth": 20}  # else 80: a detector finds nothing at first


def evaluate(ranks: Any, steps: Any, folder: str) -> dict[str, dict[str, float]]:
    """On a rank: the model is the same everywhere, its weights are published, both kinds of evaluation run."""
    from yoloscale.engine.stop_requests import StopRequests
    from yoloscale.runs.directory import RunDirectory
    from yoloscale.worker.train import parts as setup
    from yoloscale.yolo import weights

    run = RunDirectory(Path(folder))
    parts = setup.build(load(run.config), run, ranks, torch.device("cpu"), steps, StopRequests(), lambda _: None)
    module = parts.stepper.average.module
    module.load_state_dict(torch.load(run.path.parent / "trained.pt"))
    if ranks.is_first:
        weights.PublishedCopy(module, vars(parts.trainer.args)).fill({}, 1)(run.best_weights)
    from yoloscale.distributed import group

    group.barrier()
    return {"training": parts.evaluation(module), "final": parts.evaluation.final(run.best_weights, plots=False)}


def train_a_little(parts: Any, steps: int) -> dict[str, torch.Tensor]:
    """The weights after so many steps, which is enough to find something, right and wrong."""
    parts.learner.train_mode()
    for index in range(steps):
        step = parts.order.step(index // parts.order.steps, index % parts.order.steps, 0)
        batch = parts.samples.collate([parts.samples.sample(i, True) for i in step.micro_batches[0].samples])
        parts.schedule.apply(parts.stepper.optimizer, 0, 1.0, 1)
        parts.stepper(step, lambda batch=batch: batch, lambda _: None)
    state: dict[str, torch.Tensor] = parts.learner.module.state_dict()
    return state


def official(run: Path, best: Path, rtdetr: bool) -> dict[str, float]:
    """What `yolo val` says about the weights, in a process that knows nothing of yoloscale."""
    config = load(run / "config.yaml")
    program = (
        "import json, sys\nfrom ultralytics import RTDETR, YOLO\n"
        "model = (RTDETR if sys.argv[4] == 'True' else YOLO)(sys.argv[1])\n"
        "found = model.val(data=sys.argv[2], imgsz=96, batch=16, device='cpu', plots=False, workers=0,"
        " project=sys.argv[3], name='val')\n"
        "print('\\nRESULT', json.dumps({k: float(v) for k, v in found.results_dict.items()}))\n"
    )
    from yoloscale.config.locations import cache_folder
    from yoloscale.datasets.sources import locate

    assert config.model.task is not None
    data = locate(config.data, config.model.task, cache_folder(config.paths))
    done = subprocess.run(
        [sys.executable, "-c", program, str(best), str(data), str(run), str(rtdetr)],
        env={**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    result: dict[str, float] = json.loads(line.removeprefix("RESULT"))
    return result


@pytest.mark.long
@pytest.mark.parametrize("task", TASKS)
def test_two_ranks_one_rank_and_ultralytics_agree(
    config_of: Callable[..., Any],
    parts_of: Callable[..., Any],
    launch_ranks: Callable[..., list[Any]],
    tmp_path: Path,
    task: str,
) -> None:
    trained = train_a_little(parts_of(task, optimizer="AdamW", lr0=0.003), STEPS.get(task, 80))
    torch.save(trained, tmp_path / "trained.pt")

    def evaluated(world_size: int) -> list[dict[str, dict[str, float]]]:
        folder = tmp_path / f"run-{world_size}"
        folder.mkdir()
        config = config_of(task)
        config.cluster.procs_per_node = world_size
        freeze(config, folder / "config.yaml")
        return launch_ranks(evaluate, world_size, str(folder), timeout_s=500)

    with ThreadPoolExecutor() as pool:  # at once: alone, a process leaves a core idle
        (one,), two = pool.map(evaluated, (1, 2))
    assert two[0] == two[1], "every rank is told"
    assert two[0] == one, "bit for bit"
    final = one["final"]
    if task == "detect" or task in STEPS:
        assert final["metrics/mAP50(B)" if task == "detect" else "fitness"] > 0, "equal zeros would say nothing"
    expected = official(tmp_path / "run-1", tmp_path / "run-1" / "weights" / "best.pt", task == "rtdetr")
    assert final.keys() >= expected.keys() - {"fitness"}
    assert {name: final[name] for name in expected} == expected


@pytest.mark.long
@pytest.mark.parametrize(("images", "world_size"), [(10, 2), (37, 3)])
@pytest.mark.parametrize("task", ["detect", "semantic", "depth"])
def test_a_training_is_told_the_same_on_ranks_with_other_shares(
    config_of: Callable[..., Any],
    parts_of: Callable[..., Any],
    launch_ranks: Callable[..., list[Any]],
    tmp_path: Path,
    cache: Path,
    task: str,
    images: int,
    world_size: int,
) -> None:
    """Losses, too: images that do not fill a batch are one, and three batches on three ranks are three addends."""
    from yoloscale.datasets.shapes import dataset

    torch.save(parts_of(task).learner.module.state_dict(), tmp_path / "trained.pt")
    shapes = ShapesConfig(train_images=8, val_images=images, image_size=96)
    dataset.render(shapes, Task(task), cache, lambda _: None)
    results = []
    for ranks in (1, world_size):
        folder = tmp_path / f"run-{ranks}"
        folder.mkdir()
        config = config_of(task)
        config.data.shapes, config.batch, config.cluster.procs_per_node = shapes, 6, ranks
        freeze(config, folder / "config.yaml")
        results.append(launch_ranks(evaluate, ranks, str(folder), timeout_s=500))
    (one,), several = results
    assert all(result == one for result in several), "bit for bit"
    losses = [value for name, value in one["training"].items() if name.startswith("val/")]
    assert any(losses), "equal zeros would say nothing"
