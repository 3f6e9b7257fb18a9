"""`yoloscale val` gives the numbers of `yolo val`, to the last bit, on any number of ranks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests import mixed_images
from tests.yolo.test_evaluation import SOURCE, TASKS, train_a_little

from yoloscale.config.schema import DataConfig, ShapesConfig, Task

IMAGES = 37  # two whole batches and one of five
SIZE = 96  # pixels
# else 80: a detector finds nothing at first
STEPS = {"classify": 20, "semantic": 20, "depth": 20, "detect": 100, "pose-flat": 240}
SHAPES = ShapesConfig(train_images=64, val_images=IMAGES, image_size=96)
ARGUMENTS = {"imgsz": SIZE, "plots": False}

Weights = Callable[..., tuple[Path, Path]]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of five shapes."""
    return mixed_images.render(tmp_path_factory.mktemp("mixed") / "data", train=64, val=IMAGES)


@pytest.fixture
def weights_of(parts_of: Callable[..., Any], kept: Path, mixed: Path, cache: Path) -> Weights:
    """`weights_of(task)`: a `.pt` that finds something, right and wrong, and its data set; trained once."""

    def make(task: str, data: Path | None = None) -> tuple[Path, Path]:
        from yoloscale.datasets.shapes import dataset

        file = kept / f"{task}.pt" if data is None else kept / f"{task}-{data.parent.name}.pt"
        if data is None:
            own = Task.detect if task == "rtdetr" else Task(task)
            data = mixed if own is Task.detect else dataset.render(SHAPES, own, cache, lambda _: None)
        if not file.exists():
            from yoloscale.yolo import weights

            source = DataConfig(name="own", source=str(data))
            parts = parts_of(task, data=source, optimizer="AdamW", lr0=0.003, imgsz=SIZE)
            parts.learner.module.load_state_dict(train_a_little(parts, STEPS.get(file.stem, 80)))
            weights.PublishedCopy(parts.learner.module, vars(parts.trainer.args)).fill({}, 1)(file)
        return file, data

    return make


def evaluate(
    ranks: Any, steps: Any, weights: str, task: str, data: str, folder: str, arguments: dict[str, Any]
) -> dict[str, Any] | None:
    """On a rank: what the evaluation says, floats as hex."""
    from yoloscale.yolo.model_evaluation import ModelEvaluation

    own = Task.detect if task == "rtdetr" else Task(task)
    place = Path(folder)
    place.mkdir(exist_ok=True)
    evaluation = ModelEvaluation(
        Path(weights), own, Path(data), arguments, folder=place, ranks=ranks, device=torch.device("cpu")
    )
    evaluation.open_data()
    images: list[int] = []
    measured = evaluation(images.append)
    if measured is None:
        return {"images": images}
    metrics = {name: value.hex() for name, value in measured.metrics.items()}
    return {"images": images, "metrics": metrics, "classes": measured.classes, "of": measured.images}


def official(weights: Path, task: str, data: Path, folder: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """What `yolo val` says about the weights, in a process that knows nothing of yoloscale."""
    program = (
        "import json, sys\nfrom ultralytics import RTDETR, YOLO\n"
        "weights, kind, data, folder, arguments = sys.argv[1:]\n"
        "model = (RTDETR if kind == 'rtdetr' else YOLO)(weights)\n"
        "measured = model.val(data=data, batch=16, device='cpu', workers=0, project=folder, name='theirs',"
        " **json.loads(arguments))\n"
        "metrics = {name: float(value).hex() for name, value in measured.results_dict.items()}\n"
        "print('\\nRESULT', json.dumps({'metrics': metrics, 'classes': measured.summary()}, default=float))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(weights), task, str(data), str(folder), json.dumps(arguments)],
        env={**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    result: dict[str, Any] = json.loads(line.removeprefix("RESULT"))
    return result


def agree(
    launch_ranks: Callable[..., list[Any]],
    weights_of: Weights,
    folder: Path,
    task: str,
    data: Path | None = None,
    **more: Any,
) -> dict[str, Any]:
    """One, two and three ranks and `yolo val` say the same; what they say. `data`: if it is not the task's usual."""
    weights, data = weights_of(task, data)
    arguments = {**ARGUMENTS, **more}
    expected = official(weights, task, data, folder, arguments)
    for world_size in (1, 2, 3):
        place = folder / f"ours-{world_size}"
        results = launch_ranks(evaluate, world_size, str(weights), task, str(data), str(place), arguments)
        assert sum(sum(result["images"]) for result in results) == IMAGES == results[0]["of"]
        ours = results[0]["metrics"]
        assert {name: ours[name] for name in expected["metrics"]} == expected["metrics"], world_size
        assert all("mAP_" in name for name in ours.keys() - expected["metrics"].keys()), "of save_json"
        assert json.loads(json.dumps(results[0]["classes"])) == expected["classes"]
        assert all("metrics" not in result for result in results[1:]), "rank 0 alone knows"
    return expected


def test_one_two_and_three_ranks_and_ultralytics_agree(
    launch_ranks: Callable[..., list[Any]], weights_of: Weights, tmp_path: Path
) -> None:
    expected = agree(launch_ranks, weights_of, tmp_path, "detect")
    assert float.fromhex(expected["metrics"]["metrics/mAP50(B)"]) > 0.01, "equal zeros would say nothing"
    assert len(expected["classes"]) == 3


@pytest.mark.long
@pytest.mark.parametrize("task", [task for task in TASKS if task != "detect"])
def test_every_task_agrees(
    launch_ranks: Callable[..., list[Any]], weights_of: Weights, tmp_path: Path, task: str
) -> None:
    """Pose has other keypoints than COCO."""
    expected = agree(launch_ranks, weights_of, tmp_path, task)
    assert float.fromhex(expected["metrics"]["fitness"]) > 0, "equal zeros would say nothing"


@pytest.mark.long
def test_keypoints_without_visibility_agree(
    launch_ranks: Callable[..., list[Any]], weights_of: Weights, tmp_path: Path, cache: Path
) -> None:
    """Points of two numbers, with sizes of their own for each."""
    from yoloscale.datasets.shapes import dataset

    source = dataset.render(SHAPES, Task.pose, cache, lambda _: None)
    described = yaml.safe_load(source.read_text())
    points = described["kpt_shape"][0]
    folder = tmp_path / "flat"
    shutil.copytree(source.parent, folder, ignore=shutil.ignore_patterns("*.cache"))
    for file in folder.rglob("labels/**/*.txt"):
        lines = [line.split() for line in file.read_text().splitlines()]
        kept = [[*line[:5], *(word for place, word in enumerate(line[5:]) if place % 3 < 2)] for line in lines]
        file.write_text("".join(" ".join(words) + "\n" for words in kept))
    sigmas = [0.05 + 0.01 * number for number in range(points)]
    described |= {"path": str(folder), "kpt_shape": [points, 2], "kpt_oks_sigmas": sigmas}
    (folder / "data.yaml").write_text(yaml.safe_dump(described))
    expected = agree(launch_ranks, weights_of, tmp_path, "pose", folder / "data.yaml")
    assert float.fromhex(expected["metrics"]["metrics/mAP50(B)"]) > 0, "equal zeros would say nothing"


@pytest.mark.long
@pytest.mark.parametrize(
    "arguments",
    [{"rect": False}, {"rect": True, "augment": True, "conf": 0.01, "iou": 0.5}, {"single_cls": True, "max_det": 5}],
)
def test_arguments_do_what_they_do_there(
    launch_ranks: Callable[..., list[Any]], weights_of: Weights, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    agree(launch_ranks, weights_of, tmp_path, "detect", **arguments)


@pytest.mark.long
@pytest.mark.parametrize("task", ["detect", "segment"])
def test_predictions_json_is_that_of_ultralytics(
    launch_ranks: Callable[..., list[Any]], weights_of: Weights, tmp_path: Path, task: str
) -> None:
    agree(launch_ranks, weights_of, tmp_path, task, save_json=True)
    expected = (tmp_path / "theirs" / "predictions.json").read_text()
    assert len(json.loads(expected)) > IMAGES
    for world_size in (1, 2, 3):
        assert (tmp_path / f"ours-{world_size}" / "predictions.json").read_text() == expected


@pytest.mark.long
def test_pictures_and_label_files_are_those_of_ultralytics(
    launch_ranks: Callable[..., list[Any]], weights_of: Weights, tmp_path: Path
) -> None:
    """The confusion matrix has the counts of all ranks: its picture is the same, byte for byte."""
    agree(launch_ranks, weights_of, tmp_path, "detect", plots=True, save_txt=True, save_conf=True)
    theirs = tmp_path / "theirs"
    names = sorted(str(file.relative_to(theirs)) for file in theirs.rglob("*") if file.is_file())
    assert len(names) >= IMAGES
    for world_size in (1, 3):
        ours = tmp_path / f"ours-{world_size}"
        assert sorted(str(file.relative_to(ours)) for file in ours.rglob("*") if file.is_file()) == names
        different = [name for name in names if (ours / name).read_bytes() != (theirs / name).read_bytes()]
        assert not different, world_size


@pytest.mark.long
def test_an_exported_model_agrees(launch_ranks: Callable[..., list[Any]], weights_of: Weights, tmp_path: Path) -> None:
    """It has one size, takes no rectangles, and knows its task."""
    from ultralytics import YOLO

    weights, data = weights_of("detect")
    copy = shutil.copyfile(weights, tmp_path / "model.pt")
    artefact = Path(YOLO(copy).export(format="torchscript", imgsz=SIZE, device="cpu"))

    def exported(task: str, data_of_test: Path | None = None) -> tuple[Path, Path]:
        return artefact, data

    expected = agree(launch_ranks, exported, tmp_path, "detect")
    assert float.fromhex(expected["metrics"]["metrics/mAP50(B)"]) > 0.01, "equal zeros would say nothing"
