"""Views made by several processes, one of which is killed."""

from __future__ import annotations

import hashlib
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.worker.predict.prediction_runs import Rank, config_of, make_run, start, write_images

from yoloscale.config.schema import View
from yoloscale.exit_codes import FINISHED
from yoloscale.runs.directory import RunDirectory

IMAGES, UNIT = 60, 4


def digests(run: RunDirectory) -> dict[str, str]:
    paths = [path for name in ("labels", "pictures", "crops") for path in (run.path / name).rglob("*.*")]
    paths += [run.path / "coco.json", run.path / "coco-images.csv"]
    return {str(path.relative_to(run.path)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def started(run: RunDirectory, ranks: int, stack: ExitStack) -> list[Rank]:
    processes = start(run, ranks)
    for process in processes:
        stack.callback(process.end)
    return processes


@pytest.mark.long
def test_two_ranks_of_which_one_is_killed_make_the_same_files_as_one(weights: Path, tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", IMAGES)
    config = config_of(weights, images, unit=UNIT)
    config.predict.save = list(View)
    alone, several = make_run(tmp_path / "alone", config), make_run(tmp_path / "several", config)
    with ExitStack() as stack:
        [process] = started(alone, 1, stack)
        assert process.wait() == FINISHED
        first, second = started(several, 2, stack)
        while not several.result.exists() and len(list(several.path.glob("views.part/*/done/*.json"))) < 2:
            assert not (first.is_over and second.is_over)
            time.sleep(0.005)
        first.send(signal.SIGKILL)
        first.wait()
        was_amid = not several.result.exists()
        assert second.wait() == FINISHED
    assert was_amid
    assert len(digests(alone)) > 3 * IMAGES
    assert digests(several) == digests(alone)
    assert not (several.path / "views.part").exists()
    assert not (several.path / "claims").exists()
