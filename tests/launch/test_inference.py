"""Runs that predict or evaluate, as they are asked for, made, and taken up again; no rank is started."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.finished_weights import write_images, write_weights

from yoloscale.config.freeze import freeze, load
from yoloscale.config.plan import describe
from yoloscale.config.schema import Config, Device, PredictConfig, PredictSection, RunConfig, Task, ValConfig
from yoloscale.errors import ConfigError
from yoloscale.launch.contents import unit_of
from yoloscale.launch.prepare import foresee, prepared
from yoloscale.launch.run_folder import create_or_resume
from yoloscale.launch.start import resume_request, start_request
from yoloscale.manifest import sources
from yoloscale.manifest.table import read
from yoloscale.runs.directory import RunDirectory
from yoloscale.system import installed
from yoloscale.system.files import sha256_of
from yoloscale.system.remarks import silent

PREDICT = ["model=mine.pt", "source=images", "device=cpu", "cluster.procs_per_node=2"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLOSCALE_CACHE", str(tmp_path / "cache"))
    write_weights(tmp_path / "mine.pt")
    write_images(tmp_path / "images", 5)


def start(*typed: str, kind: str = "predict") -> RunDirectory:
    taken = start_request([*PREDICT, *typed] if kind == "predict" else typed, kind=kind).take(silent)
    taken.release()
    return RunDirectory(taken.run.path)


def problems_of(call: Callable[[], object]) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as refused:
        call()
    return [(problem.key, f"{problem.found}; {problem.instead}") for problem in refused.value.problems]


def test_a_prediction_is_frozen_with_all_that_its_rows_depend_on() -> None:
    run = start()
    assert run.name == "mine-predict"
    names = ["config.yaml", "job", "manifest.parquet", "overrides.yaml"]
    assert sorted(entry.name for entry in run.path.iterdir()) == names
    config = load(run.config, of=PredictConfig)
    assert (config.imgsz, config.conf, config.model.task) == (320, 0.25, Task.detect)
    assert (config.cluster.device, config.cluster.threads) == (Device.cpu, 1)
    assert config.origin.weights == sha256_of(Path("mine.pt"))
    assert config.origin.images == 5
    assert {"torch", "ultralytics"} <= (config.origin.versions or {}).keys()
    assert [Path(item.source).name for item in read(run.manifest, 0, 9)] == [f"{number:03}.png" for number in range(5)]
    assert start().name == "mine-predict-2"


@pytest.mark.parametrize(
    ("images", "unit"),
    [(1, 16), (500, 16), (2047, 16), (2048, 32), (5000, 64), (65535, 512), (65536, 1024), (10**9, 1024)],
)
def test_a_unit_is_a_power_of_two_by_the_number_of_images(images: int, unit: int) -> None:
    assert unit_of(images) == unit


def test_the_unit_is_frozen_and_stays_what_it_was(tmp_path: Path) -> None:
    run = start("name=x")
    first = load(run.config, of=PredictConfig)
    assert first.images_of_unit == 16
    assert ", units of 16 images" in describe(first)
    assert "units of" not in describe(replace(first, predict=PredictSection()))
    start("name=x")
    resume_request(run, ["predict.loaders=2"]).take(silent).release()
    assert load(run.config, of=PredictConfig).images_of_unit == 16
    assert load(start("name=y", "predict.unit=3").config, of=PredictConfig).images_of_unit == 3
    early = start_request([*PREDICT, "name=z"], kind="predict")  # composed before somebody else made the run
    start("name=z", "predict.unit=3")
    create_or_resume(prepared(early.config, silent), []).release()
    assert load(run.config.parent.parent / "z" / "config.yaml", of=PredictConfig).images_of_unit == 3


def test_exactness_is_refused_for_an_exported_model(tmp_path: Path) -> None:
    artefact = tmp_path / "mine_openvino_model"
    artefact.mkdir()
    (artefact / "metadata.yaml").write_text("task: detect\nimgsz: [320, 320]\n")
    ((key, said),) = problems_of(lambda: start("model=mine_openvino_model", "predict.exact=true"))
    assert key == "predict.exact"
    assert "kernels of its own runtime" in said
    assert load(start("model=mine_openvino_model").config, of=PredictConfig).predict.exact is False


@pytest.mark.parametrize("source", ["nothing", "list.csv"])
def test_sources_that_hold_nothing_leave_no_folder(tmp_path: Path, source: str) -> None:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "list.csv").write_text("file\na.png\n")
    (key, _), *_ = problems_of(lambda: start(f"source={source}"))
    assert key.partition(".")[0] in ("source", "predict")
    assert not [*(tmp_path / "runs").glob("*")]
    assert start().name == "mine-predict"


def test_the_manifest_of_a_run_that_goes_on_is_the_first_one(tmp_path: Path) -> None:
    run = start("name=x")
    before = run.manifest.read_bytes(), run.config.read_bytes()
    write_images(tmp_path / "images", 9)
    start("name=x")
    resume_request(run).take(silent).release()
    assert (run.manifest.read_bytes(), run.config.read_bytes()) == before
    run.manifest.unlink()
    for call in (lambda: start("name=x"), lambda: resume_request(run).take(silent)):
        (problem,) = problems_of(call)
        assert problem[0] == "source"
        assert "is gone from run 'x'" in problem[1]


@pytest.mark.parametrize(
    ("typed", "key"),
    [("conf=0.5", "conf"), ("predict.unit=2", "predict.unit"), ("predict.exact=true", "predict.exact")],
)
def test_what_rows_depend_on_stays(typed: str, key: str) -> None:
    run = start("name=x")
    ((named, said),) = problems_of(lambda: start("name=x", typed))
    assert named == key
    assert "give another name=" in said
    ((named, said),) = problems_of(lambda: resume_request(run, [typed]).take(silent))
    assert named == key
    assert "yoloscale predict model=mine.pt source=images" in said
    assert "name=x-2" in said


def test_another_source_is_another_run(tmp_path: Path) -> None:
    start("name=x")
    write_images(tmp_path / "others", 5)
    ((key, _),) = problems_of(lambda: start("name=x", "source=others"))
    assert key == "source"


def test_where_it_runs_and_what_is_made_of_its_rows_may_change() -> None:
    run = start("name=x", "predict.save=[coco]")
    start("name=x", "predict.save=[coco]", "cluster.procs_per_node=1")
    resume_request(run, ["predict.save=[txt]", "predict.loaders=3", "cluster.procs_per_node=1"]).take(silent).release()
    config = load(run.config, of=PredictConfig)
    assert config.cluster.procs_per_node == 1
    assert [view.value for view in config.predict.save] == ["txt"]
    assert config.predict.loaders == 3
    assert (config.cluster.planned_ranks, config.cluster.threads) == (2, 1)


def test_the_kind_of_device_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with GPUs takes a run up that began on CPUs: on CPUs."""
    run = start("name=x")
    assert resume_request(run, ["cluster.procs_per_node=3"]).config.cluster.device is Device.cpu
    ((key, said),) = problems_of(lambda: resume_request(run, ["cluster.device=cuda"]))
    assert key == "cluster.device"
    assert "as what is there of its results was made by that" in said


def test_other_weights_of_the_same_name_are_refused_and_the_same_elsewhere_are_not(tmp_path: Path) -> None:
    run = start("name=x")
    Path("mine.pt").rename(tmp_path / "moved.pt")
    resume_request(run, ["model=moved.pt"]).take(silent).release()
    write_weights(tmp_path / "moved.pt", comment="trained on")
    for call in (lambda: start("name=x", "model=moved.pt"), lambda: resume_request(run).take(silent)):
        ((key, said),) = problems_of(call)
        assert key == "model"
        assert "holds other weights than when run 'x' was started" in said


def test_other_versions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    run = start("name=x")
    monkeypatch.setattr(installed, "version", lambda package: "9.9")
    found = dict(problems_of(lambda: resume_request(run).take(silent)))
    assert found.keys() == {"origin.versions"}
    assert "torch 9.9" in str(found) or "9.9, and run 'x' was started with" in str(found)


@pytest.mark.parametrize("own", ["cluster.python=/opt/python", "cluster.container_image=image.sqsh"])
def test_versions_are_those_of_the_interpreter_that_the_ranks_have(own: str) -> None:
    config = start_request([*PREDICT, "cluster=slurm", own], kind="predict").config
    assert prepared(config, silent).origin.versions is None
    config = start_request([*PREDICT, "cluster=slurm"], kind="predict").config
    assert "torch" in (prepared(config, silent).origin.versions or {})


def test_a_name_that_another_kind_of_run_has(tmp_path: Path) -> None:
    start("name=x")
    trained = Config(name="y")
    trained.paths.runs = "runs"
    trained.cluster.procs_per_node, trained.cluster.device, trained.cluster.backend = 1, Device.cpu, "gloo"
    create_or_resume(trained, []).release()
    ((key, said),) = problems_of(lambda: start("name=y"))
    assert (key, "was started by `yoloscale train`" in said) == ("name", True)
    ((key, said),) = problems_of(lambda: start_request(["name=x", "device=cpu"]))
    assert (key, "was started by `yoloscale predict`" in said) == ("name", True)


def test_a_task_that_the_weights_do_not_have() -> None:
    ((key, said),) = problems_of(lambda: start("task=segment"))
    assert key == "model.task"
    assert "holds a detect model" in said


@pytest.mark.parametrize("is_dry", [True, False])
def test_views_that_the_task_of_an_exported_model_does_not_have(tmp_path: Path, *, is_dry: bool) -> None:
    """Nothing told the task before the artefact was looked into."""
    artefact = tmp_path / "mine_openvino_model"
    artefact.mkdir()
    (artefact / "metadata.yaml").write_text("task: classify\nimgsz: [224, 224]\n")
    request = start_request([*PREDICT, "model=mine_openvino_model", "predict.save=[coco]"], kind="predict")
    ((key, said),) = problems_of(lambda: foresee(request.config, silent) if is_dry else request.take(silent))
    assert (key, "coco in task=classify" in said) == ("predict.save", True)
    assert not [*(tmp_path / "runs").glob("*")]


def test_addresses_with_what_opens_them_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    address = "https://host.invalid/a.jpg?X-Amz-Signature=secret"
    ((key, said),) = problems_of(lambda: start(f"source='{address}'"))
    (tmp_path / "list.txt").write_text(f"images/000.png\n{address}\n")
    ((listed_key, listed),) = problems_of(lambda: start("source=list.txt"))
    assert (key, listed_key) == ("source", "source")
    assert "list.txt: source 1 is https://host.invalid/a.jpg with X-Amz-Signature" in listed
    assert "s3:// and gs://" in said
    assert "s3:// and gs://" in listed
    assert "secret" not in said + listed
    assert not [*(tmp_path / "runs").glob("*")]


def test_a_full_disk_amid_the_manifest_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(sources, "write_entries", full)
        with pytest.raises(OSError, match="No space left"):
            start("name=x")
    assert not [*(tmp_path / "runs").glob("*")]
    start("name=x")


def test_an_evaluation_reads_the_evaluated_images_alone(tmp_path: Path) -> None:
    write_images(tmp_path / "set" / "images" / "val", 3)
    labels = tmp_path / "set" / "labels" / "val"
    labels.mkdir(parents=True)
    for number in range(3):
        (labels / f"{number:03}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    yaml = tmp_path / "set.yaml"
    yaml.write_text("path: set\ntrain: images/train\nval: images/val\nnames: {0: thing}\n")
    typed = ["model=mine.pt", "data=set.yaml", "device=cpu"]
    run = start(*typed, kind="val")
    assert run.name == "mine-set"
    config = load(run.config, of=ValConfig)
    assert (config.imgsz, config.conf, config.single_cls) == (320, 0.001, False)
    assert (config.origin.dataset or "").startswith("3:")
    assert config.origin.weights == sha256_of(Path("mine.pt"))
    (labels / "000.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    ((key, said),) = problems_of(lambda: start(*typed, "name=mine-set", kind="val"))
    assert key == "data"
    assert "images or labels are others" in said


def test_a_finished_prediction_says_how_to_start_another_one() -> None:
    run = start("name=x", "conf=0.4")
    run.result.write_text('{"metrics": {}, "images": 5}')
    ((_, said),) = problems_of(lambda: start("name=x", "conf=0.4"))
    command = "yoloscale predict model=mine.pt source=images device=cpu cluster.procs_per_node=2 conf=0.4 name=x-2"
    assert command in said


def test_a_frozen_config_of_each_kind_is_taken_up_as_it_is(tmp_path: Path) -> None:
    run = start("name=x")
    frozen = load(run.config, of=RunConfig)
    freeze(frozen, tmp_path / "again.yaml")
    assert load(tmp_path / "again.yaml", of=RunConfig) == replace(frozen, paths=replace(frozen.paths, runs="runs"))
