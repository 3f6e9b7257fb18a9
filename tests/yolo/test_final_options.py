"""What augment, save_txt, save_conf and visualize do at the end of a run: what `yolo val` does, on any ranks."""

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
from tests.yolo.test_evaluation import SOURCE, train_a_little

from yoloscale.config.freeze import freeze, load
from yoloscale.config.schema import Config

OPTIONS: dict[str, Any] = {"augment": True, "save_txt": True, "save_conf": True, "visualize": True}


def evaluate(ranks: Any, steps: Any, folder: str) -> dict[str, float]:
    """On a rank: an evaluation between epochs, which writes nothing, then the final one, twice as after a kill."""
    from yoloscale.distributed import group
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
    group.barrier()
    parts.evaluation(module)
    group.barrier()
    assert not (run.path / "labels").exists()
    assert not (run.path / "visualizations").exists()
    parts.evaluation.final(run.best_weights, plots=False)
    return parts.evaluation.final(run.best_weights, plots=True)


def official(run: Path) -> tuple[dict[str, float], Path]:
    """What `yolo val` says and writes, in a process that knows nothing of yoloscale."""
    config = load(run / "config.yaml")
    program = (
        "import json, sys\nfrom ultralytics import YOLO\n"
        "found = YOLO(sys.argv[1]).val(data=sys.argv[2], imgsz=96, batch=16, device='cpu', plots=True, workers=0,"
        " project=sys.argv[3], name='val', **json.loads(sys.argv[4]))\n"
        "print('\\nRESULT', json.dumps({k: float(v) for k, v in found.results_dict.items()}))\n"
    )
    from yoloscale.config.locations import cache_folder
    from yoloscale.datasets.sources import locate

    assert config.model.task is not None
    data = locate(config.data, config.model.task, cache_folder(config.paths))
    done = subprocess.run(
        [sys.executable, "-c", program, run / "weights" / "best.pt", data, run.parent, json.dumps(OPTIONS)],
        env={**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    return json.loads(line.removeprefix("RESULT")), run.parent / "val"


def texts(folder: Path) -> dict[str, list[str]]:
    return {file.name: sorted(file.read_text().splitlines()) for file in (folder / "labels").glob("*.txt")}


def pictures(folder: Path) -> set[str]:
    return {file.name for file in (folder / "visualizations").iterdir()}


@pytest.mark.long
@pytest.mark.parametrize("task", ["detect", "segment"])
def test_they_do_what_yolo_val_does_on_one_rank_and_on_two(
    config_of: Callable[..., Config],
    parts_of: Callable[..., Any],
    launch_ranks: Callable[..., list[Any]],
    tmp_path: Path,
    task: str,
) -> None:
    torch.save(train_a_little(parts_of(task, optimizer="AdamW", lr0=0.003), 80), tmp_path / "trained.pt")

    def evaluated(world_size: int) -> list[dict[str, float]]:
        folder = tmp_path / f"run-{world_size}"
        folder.mkdir()
        config = config_of(task, **OPTIONS)
        config.cluster.procs_per_node = world_size
        freeze(config, folder / "config.yaml")
        return launch_ranks(evaluate, world_size, str(folder), timeout_s=500)

    with ThreadPoolExecutor() as pool:  # at once: alone, a process leaves a core idle
        (one,), (two, _) = pool.map(evaluated, (1, 2))
    assert two == one
    expected, folder = official(tmp_path / "run-1")
    assert {name: one[name] for name in expected} == expected
    written = texts(folder)
    assert sum(map(len, written.values())) > 0, "empty files would say nothing"
    assert len(next(line for lines in written.values() for line in lines).split()) >= 6, "with the confidence"
    for ranks in (1, 2):
        assert texts(tmp_path / f"run-{ranks}") == written
        assert pictures(tmp_path / f"run-{ranks}") == pictures(folder)
