"""A run finds what its dataset was opened into at its start, whatever has become of the source since."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from tests.file_server import serving

from yoloscale.config.addresses import hidden
from yoloscale.config.freeze import freeze, load
from yoloscale.config.locations import cache_folder
from yoloscale.config.schema import Config, Task
from yoloscale.datasets import sources
from yoloscale.errors import ConfigError
from yoloscale.launch.start import resume_request, start_request
from yoloscale.runs.directory import RunDirectory

COMMON = ["pretrained=false", "device=cpu", "batch=4", "name=run"]


def picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32)).save(file)


def pack(target: Path, images: int) -> Path:
    """A zipped dataset with so many training images."""
    with zipfile.ZipFile(target, "w") as archive:
        for split, count in (("train", images), ("val", 1)):
            for number in range(count):
                picture(target.parent / "1.jpg")
                archive.write(target.parent / "1.jpg", f"images/{split}/{number}.jpg")
                archive.writestr(f"labels/{split}/{number}.txt", "0 0.5 0.5 0.2 0.2\n")
        archive.writestr("data.yaml", "train: images/train\nval: images/val\nnames: [a]\n")
    return target


def unsplit(root: Path, images: int) -> Path:
    """A folder of two classes with so many images each."""
    for kind in ("cat", "dog"):
        for number in range(images):
            picture(root / kind / f"{number}.jpg")
    return root


SOURCES: dict[str, tuple[str, str, Callable[[Path, int], Path]]] = {
    "archive": ("model=yolo26n", "parts.zip", pack),
    "classes": ("model=yolo26n-cls", "pets", unsplit),
}


@pytest.fixture(params=SOURCES)
def started(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[RunDirectory, Callable[[int], Path], list[str]]:
    """A run, what makes its dataset anew with more images, and what was typed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLOSCALE_CACHE", str(tmp_path / "cache"))
    model, name, make = SOURCES[request.param]
    make(tmp_path / name, 5)
    typed = [model, f"data={tmp_path / name}", *COMMON]
    return start(typed), lambda images: make(tmp_path / name, images), typed


def start(typed: list[str]) -> RunDirectory:
    taken = start_request(typed).take(lambda _: None)
    taken.release()
    return RunDirectory(taken.run.path)


def located(config: Config) -> Path:
    """What a rank opens."""
    assert config.model.task is not None
    return sources.locate(
        config.data, config.model.task, cache_folder(config.paths), config.split, config.origin.opened
    )


def count(folder: Path) -> int:
    return sum(1 for _ in (folder if folder.is_dir() else folder.parent).rglob("train/**/*.jpg"))


def test_a_source_that_changed(started: tuple[RunDirectory, Callable[[int], Path], list[str]]) -> None:
    run, make, typed = started
    before = located(load(run.config))
    make(10)
    assert located(load(run.config)) == before, "for a requeue, which no launcher prepares"
    said = list[str]()
    resume_request(run).take(said.append).release()
    start(typed)
    assert located(load(run.config)) == before
    told = [line for line in said if "has another size or time than at the start" in line]
    assert len(told) == (Task.classify is not load(run.config).model.task)
    assert not any("goes on with data in" in line for line in said)
    other = located(load(start([*typed, "name=other"]).config))
    assert count(other) == 2 * count(before), "a new run has what there is now"


def test_ranks_do_not_walk_through_it(
    started: tuple[RunDirectory, Callable[[int], Path], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load(started[0].config)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a folder is listed")

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        patch.setattr(os, "listdir", refuse)
        assert located(config).exists()


def test_a_source_that_is_gone(started: tuple[RunDirectory, Callable[[int], Path], list[str]]) -> None:
    run, make, typed = started
    source, before = Path(load(run.config).data.source), located(load(run.config))
    if source.is_dir():
        return  # its images are links to there
    source.unlink()
    resume_request(run).take(lambda _: None).release()
    assert located(load(run.config)) == before
    shutil.rmtree(cache_folder(load(run.config).paths))
    with pytest.raises(ConfigError, match="was opened as when the run was started, is not there"):
        located(load(run.config))
    with pytest.raises(ConfigError, match=f"there is no {source}"):
        resume_request(run).take(lambda _: None)
    make(5)
    resume_request(run).take(lambda _: None).release()
    assert count(located(load(run.config))) == count(located(load(start([*typed, "name=other"]).config)))


def test_another_cache_is_opened_into_anew(
    started: tuple[RunDirectory, Callable[[int], Path], list[str]], tmp_path: Path
) -> None:
    run, _, _ = started
    resume_request(run, [f"paths.cache={tmp_path / 'other'}"]).take(lambda _: None).release()
    assert located(load(run.config)).is_relative_to(tmp_path / "other")


def test_a_run_of_before_knows_it_after_its_next_start(
    started: tuple[RunDirectory, Callable[[int], Path], list[str]],
) -> None:
    run, make, _ = started
    config = load(run.config)
    config.origin.opened = None
    freeze(config, run.config)
    before = located(config)
    resume_request(run).take(lambda _: None).release()
    make(10)
    assert located(load(run.config)) == before


def test_an_address_is_frozen_without_what_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLOSCALE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "served").mkdir()
    pack(tmp_path / "served" / "parts.zip", 2)
    with serving(tmp_path / "served") as (host, sent):
        typed = hidden(["model=yolo26n", f"data={host}/parts.zip?token=secret", *COMMON])
        run = start(typed)
        assert sent == ["/parts.zip?token=secret"]
    texts = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file() and file.suffix != ".jpg"]
    assert not any(b"secret" in text for text in texts)
    resume_request(run).take(lambda _: None).release()  # nobody is asked: the server is gone
    start(typed)
    assert count(located(load(run.config))) == 2
