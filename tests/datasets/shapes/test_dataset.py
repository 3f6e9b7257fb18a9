"""The built-in dataset: the same pictures however they are made, and labels that Ultralytics reads for every task."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from ultralytics.cfg import get_cfg
from ultralytics.data import ClassificationDataset
from ultralytics.data.build import build_yolo_dataset
from ultralytics.data.utils import check_det_dataset

from yoloscale.config.schema import ShapesConfig, Task
from yoloscale.datasets.shapes import dataset as shapes
from yoloscale.datasets.shapes import labels as shapes_labels
from yoloscale.datasets.shapes import render
from yoloscale.datasets.shapes import worker as shapes_worker
from yoloscale.datasets.shapes.classes import CLASSES, data_yaml
from yoloscale.datasets.shapes.scene import Layout, compose, generator
from yoloscale.errors import ConfigError
from yoloscale.system.locks import build_once

SMALL = ShapesConfig(train_images=8, val_images=4, image_size=96)
SIZE = 320


def quiet(text: str) -> None:
    """Take what `say` would print."""


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("task", list(Task))
def test_ultralytics_reads_every_task_and_finds_nothing_corrupt(task: Task, cache: Path, tmp_path: Path) -> None:
    source = shapes.render(SMALL, task, cache, quiet)
    root = tmp_path / "moved"
    shutil.copytree(source if task is Task.classify else source.parent, root)
    arguments = get_cfg(overrides={"imgsz": 96, "task": task.value, "mosaic": 0.0, "cache": False})
    if task is Task.classify:
        dataset = ClassificationDataset(str(root / "train"), arguments, augment=False)
        assert dataset.base.classes == sorted(CLASSES)
        assert len(dataset) == SMALL.train_images
        return
    data = check_det_dataset(str(root / "data.yaml"), autodownload=False)
    assert Path(data["path"]) == root
    for split, count in (("train", SMALL.train_images), ("val", SMALL.val_images)):
        dataset = build_yolo_dataset(arguments, data[split], 4, data, mode="val", rect=False)
        assert len(dataset) == count
        cached = np.load(next(root.glob(f"*/{split}.cache")), allow_pickle=True).item()
        assert cached["results"][3] == 0  # corrupt
        assert cached["msgs"] == []
        sample = dataset[0]
        assert sample["img"].shape == (3, 96, 96)


@pytest.mark.parametrize("task", [Task.detect, Task.classify])
def test_the_number_of_processes_makes_no_difference(task: Task, cache: Path, tmp_path: Path) -> None:
    source = shapes.render(SMALL, task, cache, quiet)
    rendered = source if task is Task.classify else source.parent
    again = tmp_path / "again"
    again.mkdir()
    for name in (shapes.OPTIONS_FILE, "data.yaml"):
        if (rendered / name).exists():
            shutil.copy(rendered / name, again)
    for part in (2, 0, 1):
        command = [sys.executable, "-m", "yoloscale.datasets.shapes.worker", str(again), str(part), "3"]
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=300)
        # standard input is at its end: a worker takes its parent for dead and stops after ten images, here after all
    assert contents(again) == contents(rendered)


def test_a_worker_writes_each_count_in_one_piece(cache: Path, tmp_path: Path) -> None:
    """All workers write to one pipe, and containers often have PYTHONUNBUFFERED set, with which print writes twice."""
    rendered = shapes.render(SMALL, Task.detect, cache, quiet).parent
    for name in (shapes.OPTIONS_FILE, "data.yaml"):
        shutil.copy(rendered / name, tmp_path)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "yoloscale.datasets.shapes.worker", str(tmp_path), "0", "1"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=theirs, env=environment) as worker:
        theirs.close()
        pieces = list(iter(lambda: ours.recv(100), b""))
        assert worker.wait(300) == 0
    ours.close()
    assert [piece[-1:] for piece in pieces] == [b"\n"] * len(pieces)
    assert sum(map(int, pieces)) == SMALL.train_images + SMALL.val_images


def test_no_image_is_in_both_splits_and_seeds_differ() -> None:
    def picture(seed: int, split: str, index: int) -> bytes:
        scene = compose(seed, split, index, 64, Layout.scattered)
        return bytes(render.paint(scene, generator(seed, split, index, 1)).tobytes())

    pictures = [picture(seed, split, index) for seed in (0, 1) for split in ("train", "val") for index in range(20)]
    assert len(set(pictures)) == len(pictures)


def test_labels_follow_the_visible_pixels() -> None:
    """Boxes, polygons and oriented boxes enclose exactly the pixels that the mask shows of each shape."""
    partly_covered = 0
    for index in range(40):
        scene = compose(3, "train", index, SIZE, Layout.scattered)
        owner = np.full((SIZE, SIZE), -1, np.int32)
        for number, placed in enumerate(scene.placed):
            cv2.fillPoly(owner, [np.rint(placed.shape.outline() - 0.5).astype(np.int32)], number)
        lines = {task: shapes_labels.lines(scene, task) for task in (Task.detect, Task.segment, Task.obb, Task.pose)}
        for number, placed in enumerate(scene.placed):
            partly_covered += placed.covered
            values = {task: np.array(lines[task][number].split(), float) for task in lines}
            assert {int(value[0]) for value in values.values()} == {placed.shape.kind}
            ys, xs = np.nonzero(owner == number)
            x, y, width, height = values[Task.detect][1:] * SIZE
            left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
            outside = (xs < left - 1) | (xs > right) | (ys < top - 1) | (ys > bottom)
            assert outside.mean() < 0.01  # slivers that nobody sees do not count
            loose = [xs.min() - left, ys.min() - top, right - xs.max() - 1, bottom - ys.max() - 1]
            assert max(loose) < 2.5
            polygon = values[Task.segment][1:].reshape(-1, 2) * SIZE
            assert _overlap(polygon, owner == number) > 0.9
            corners = (values[Task.obb][1:].reshape(-1, 2) * SIZE).astype(np.float32)
            inside = [cv2.pointPolygonTest(corners, (float(a), float(b)), True) > -1.5 for a, b in polygon]
            assert all(inside)
            sides = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
            assert abs(sides[0] - sides[2]) < 0.1
            assert abs(sides[0] ** 2 + sides[1] ** 2 - np.linalg.norm(corners[0] - corners[2]) ** 2) < 5
            seen = values[Task.pose][5:].reshape(-1, 3)
            assert set(seen[:, 2]) <= {1.0, 2.0}
            if not placed.covered:
                assert (values[Task.pose][1:5] == values[Task.detect][1:5]).all()
    assert partly_covered > 5


def _overlap(polygon: np.ndarray, mask: np.ndarray) -> float:
    drawn = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(drawn, [np.rint(polygon - 0.5).astype(np.int32)], 1)
    return float((drawn.astype(bool) & mask).sum() / (drawn.astype(bool) | mask).sum())


def test_mirroring_swaps_the_keypoints_as_flip_idx_says() -> None:
    flip = data_yaml(Task.pose)["flip_idx"]
    scene = compose(0, "train", 0, SIZE, Layout.scattered)
    for placed in scene.placed:
        shape = placed.shape
        mirrored = type(shape)(
            shape.kind, (SIZE - shape.center[0], shape.center[1]), shape.radius, -shape.angle, shape.slimness
        )
        expected = shape.keypoints() * (-1, 1) + (SIZE, 0)
        assert np.allclose(mirrored.keypoints(), expected[flip])


def test_scenes_vary_and_some_are_empty() -> None:
    scenes = [compose(0, "train", index, SIZE, Layout.scattered) for index in range(300)]
    counts = [len(scene.placed) for scene in scenes]
    assert {0, 1, 7} <= set(counts)
    assert sum(count == 0 for count in counts) < 30
    kinds = np.bincount([placed.shape.kind for scene in scenes for placed in scene.placed])
    assert kinds.min() > 0.2 * kinds.sum()
    assert min(placed.shape.radius for scene in scenes for placed in scene.placed) > 0.06 * SIZE


def test_depth_grows_with_distance(cache: Path) -> None:
    root = shapes.render(SMALL, Task.depth, cache, quiet).parent
    depth = cv2.imread(str(root / "depth" / "train" / "000000.png"), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16
    assert depth[0].max() == 10_000
    scene = compose(SMALL.seed, "train", 0, SMALL.image_size, Layout.scattered)
    nearest = scene.placed[-1].shape
    x, y = (int(value) for value in nearest.center)
    assert depth[y, x] == round(render.distance_m(nearest, SMALL.image_size) * 1000)


def test_options_that_make_no_sense_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        shapes.render(ShapesConfig(train_images=0, val_images=-1, image_size=8, seed=-1), Task.detect, tmp_path, quiet)
    keys = [problem.key for problem in raised.value.problems]
    assert keys == [f"data.shapes.{name}" for name in ("train_images", "val_images", "image_size", "seed")]


def test_progress_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    shapes.render(ShapesConfig(train_images=90, val_images=10, image_size=64), Task.detect, tmp_path, said.append)
    assert "rendering 100 images of 64 px" in said[0]
    assert any("of 100 images" in text for text in said[1:])


def test_a_worker_that_fails_is_reported_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "OPTIONS_FILE", "elsewhere.json")
    with pytest.raises(RuntimeError, match=r"shapes\.json"):
        shapes.render(SMALL, Task.detect, tmp_path, quiet)
    assert [path.suffix for path in (tmp_path / "shapes").iterdir()] == [".lock"]


def test_an_interruption_ends_the_workers_at_once(tmp_path: Path) -> None:
    class Interrupted(BaseException):
        pass

    def say(text: str) -> None:
        if text.startswith("rendered"):
            raise Interrupted

    options = ShapesConfig(train_images=300, val_images=2, image_size=640)
    with pytest.raises(Interrupted):
        shapes.render(options, Task.detect, tmp_path, say)
    assert not _running_workers(tmp_path)
    assert not list((tmp_path / "shapes").glob(".*.partial"))


RENDER = """
import sys; from pathlib import Path
from yoloscale.config.schema import ShapesConfig, Task
from yoloscale.datasets.shapes import dataset as shapes
options = ShapesConfig(train_images=int(sys.argv[2]), val_images=2, image_size=int(sys.argv[3]))
print(shapes.render(options, Task.detect, Path(sys.argv[1]), lambda text: print(text, flush=True)))
"""


def _start(cache: Path, images: int, size: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RENDER, str(cache), str(images), str(size)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_render_once_and_get_the_same(tmp_path: Path) -> None:
    started = [_start(tmp_path, 20, 64) for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0].splitlines() for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert outputs[0][-1] == outputs[1][-1]
    assert sum("rendering" in line for output in outputs for line in output) == 1


def test_a_killed_process_leaves_nothing_that_counts_and_its_workers_end(tmp_path: Path) -> None:
    process = _start(tmp_path, 400, 640)
    assert process.stdout is not None
    assert "rendering" in process.stdout.readline()
    deadline = time.monotonic() + 300
    while not list(tmp_path.rglob("*.jpg")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    options = ShapesConfig(train_images=400, val_images=2, image_size=640)
    assert not shapes.folder(options, Task.detect, tmp_path).exists()
    while _running_workers(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert list((tmp_path / "shapes").glob(".*.partial"))
    build_once(
        shapes.folder(options, Task.detect, tmp_path), lambda partial: None
    )  # the next one removes what was left
    assert not list((tmp_path / "shapes").glob(".*.partial"))


def _running_workers(cache: Path) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if shapes_worker.__name__ in command and str(cache) in command:
            found.append(command)
    return found
