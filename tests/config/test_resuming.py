from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from yoloscale.backends.check import validate
from yoloscale.config.plan import plan
from yoloscale.config.resolve import adopt, resolve
from yoloscale.config.resuming import ASKED, FREE, FREE_GROUPS, Done, remarks
from yoloscale.config.schema import (
    ClusterConfig,
    Config,
    DataCheck,
    DataConfig,
    Device,
    LoggerConfig,
    ModelConfig,
    OriginConfig,
    Task,
    WandbConfig,
)
from yoloscale.config.schema.arguments import TrainArguments
from yoloscale.config.schema.sweep import SearchConfig, TrialConfig
from yoloscale.config.topology import differences, moved
from yoloscale.config.typed_again import changed
from yoloscale.errors import ConfigError
from yoloscale.system.machine import Machine

CPU = Machine(gpu_count=0, cpus=4, has_bf16=True)
ROOT = {entry.name for entry in fields(TrainArguments)}


def frozen(**values: Any) -> Config:
    model = ModelConfig(architecture="yolo26n.yaml", task=Task.detect)
    cluster = ClusterConfig(procs_per_node=1, device=Device.cpu)
    data = DataConfig("mine", "/old/data.yaml")
    origin = OriginConfig(folder="/old", dataset="8:abc")
    made = resolve(Config(name="run", id="1", model=model, cluster=cluster, data=data, origin=origin), CPU)
    return replace(made, cluster=replace(made.cluster, planned_ranks=1), **values)


def typed(run: Config, *tokens: str, done: Done | None = None) -> Config:
    return changed(run, tokens, lambda: "yoloscale train ANEW", done or Done(3, 16))


def other(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool) or value is None:
        return not value
    return value + 1 if isinstance(value, (int, float)) else f"{value}x"


def test_the_table_is_of_keys_that_there_are() -> None:
    assert set(ASKED) <= ROOT
    assert FREE <= ROOT
    assert not set(ASKED) & FREE
    assert set(FREE_GROUPS) <= {entry.name for entry in fields(Config)}


@pytest.mark.parametrize("key", sorted(ROOT))
def test_every_argument_is_taken_by_whom_the_table_says(key: str) -> None:
    """What is taken changes nothing else; what is not taken is refused."""
    run = frozen()
    wanted = replace(run, **{key: other(getattr(run, key))})
    by_name, by_resume = moved(run, wanted), moved(run, wanted, Done(3, 16))
    assert [name for name, *_ in differences(by_name, wanted)] == ([] if key in FREE else [key])
    assert [name for name, *_ in differences(by_resume, wanted)] == ([] if key in FREE or key in ASKED else [key])
    assert [name for name, *_ in differences(run, by_resume)] == ([key] if key in FREE or key in ASKED else [])
    assert bool(remarks(run, by_resume)) is (key in ASKED and key != "batch"), "batch: by its plan"
    assert remarks(run, by_name) == []


@pytest.mark.parametrize(
    "token",
    [
        "lr0=0.5",
        "imgsz=96",
        "seed=1",
        "optimizer=SGD",
        "mosaic=0",
        "model=yolo11n",
        "conf=0.3",
        "compile=true",
        "nbs=8",
    ],
)
def test_what_is_not_taken_says_how_to_start_anew(token: str) -> None:
    with pytest.raises(ConfigError) as error:
        typed(frozen(), token, "workers=0")
    assert all("yoloscale train ANEW" in problem.instead for problem in error.value.problems)
    assert error.value.problems[0].key.startswith(token.partition("=")[0])


@pytest.mark.parametrize(
    "token",
    ["name=other", "experiment=smoke", "sweep.parallel=2", "origin.batch=3", "id=7", "~logger"],
)
def test_what_is_no_matter_of_resume_says_so(token: str) -> None:
    with pytest.raises(ConfigError):
        typed(frozen(), token)


def test_a_whole_command_typed_again_changes_what_differs_only() -> None:
    run = frozen()
    again = typed(run, "name=run", "imgsz=640", "epochs=100", "batch=16", "lr0=0.01", "amp=True", "workers=2")
    assert differences(run, again) == [("workers", "8", "2")]


def test_groups_take_the_place_of_their_settings_and_keys_of_their_values() -> None:
    run = frozen(logger=LoggerConfig(wandb=WandbConfig(project="mine", tags=["a"])))
    assert typed(run, "logger=none").logger == LoggerConfig()
    wandb = typed(run, "logger.wandb.project=yours").logger.wandb
    assert wandb == WandbConfig(project="yours", tags=["a"])
    assert typed(run, "checkpoint.keep=5", "debug.trace=true").checkpoint.keep == 5
    assert typed(run, "model.allow_pickle=true").model.allow_pickle
    with pytest.raises(ConfigError, match="add logger=mlflow"):
        typed(run, "logger.mlflow.experiment=x")


def test_batch_keeps_the_planned_step() -> None:
    run = frozen()
    again = typed(run, "batch=4")
    assert (again.batch, again.origin.batch) == (4, 16)
    made = plan(again)
    assert (made.planned.forward_batch, made.planned.accumulate) == (16, 4)
    assert (made.actual.per_rank, made.actual.accumulate) == (4, 16)
    assert validate(again, CPU) == []
    there = typed(again, "batch=8")
    assert (there.batch, there.origin.batch, plan(there).actual.accumulate) == (8, 16, 8)
    assert typed(there, "batch=16") == run, "and back"


@pytest.mark.parametrize(("batch", "works"), [(1, True), (2, True), (32, True), (64, True), (3, False), (128, False)])
def test_batches_that_make_up_the_step(batch: int, works: bool) -> None:
    problems = validate(typed(frozen(), f"batch={batch}"), CPU)
    assert [problem.key for problem in problems] == ([] if works else ["batch"])
    assert works or "write batch=" in problems[0].instead


def test_a_step_larger_than_nbs_is_kept_too() -> None:
    again = typed(frozen(batch=128), "batch=32")
    assert (plan(again).actual.per_rank, plan(again).actual.accumulate) == (32, 4)
    assert plan(again).planned.accumulate == 1


def test_a_batch_sized_on_the_gpu_is_what_was_planned() -> None:
    again = typed(frozen(batch=-1), "batch=9", done=Done(1, 36))
    assert (again.batch, again.origin.batch) == (9, 36)
    assert typed(frozen(batch=-1), "batch=-1", "workers=8") == frozen(batch=-1)
    with pytest.raises(ConfigError, match="batch"):
        typed(again, "batch=-1")  # it has a size by now


def test_albumentations_can_be_switched_off_and_no_more() -> None:
    run = frozen()
    again = typed(run, "augmentations=[]")
    assert again.augmentations == []
    assert remarks(run, again) == ["augmentations=[] instead of null: from here on, no Albumentations are applied"]
    given = replace(run, augmentations=[{"Blur": {}}])
    assert [key for key, *_ in differences(moved(run, given, Done(3, 16)), given)] == ["augmentations"]
    assert moved(run, again) == run, "only resume asks for it"


def test_epochs_leave_what_was_decided_by_them() -> None:
    again = typed(frozen(), "epochs=300")
    assert (again.epochs, again.origin.epochs, again.origin.epochs_done) == (300, 100, 3)
    twice = typed(again, "epochs=200", done=Done(5, 16))
    assert (twice.epochs, twice.origin.epochs, twice.origin.epochs_done) == (200, 100, 5)
    assert typed(twice, "epochs=100").origin.epochs is None
    (line,) = remarks(frozen(), again)
    assert "a run of 300 epochs; mosaic ends after epoch 290" in line
    (line,) = remarks(frozen(time=0.5), typed(frozen(time=0.5), "epochs=300"))
    assert line == "epochs=300 instead of 100: no effect: how many there are follows from time=0.5"


def test_another_time_is_put_down_with_the_epochs_done() -> None:
    again = typed(frozen(time=1.0), "time=2")
    assert (again.time, again.origin.epochs, again.origin.epochs_done) == (2.0, None, 3)
    assert typed(frozen(time=1.0), "time=1").origin.epochs_done is None


def test_a_run_of_a_search_is_as_long_as_the_others() -> None:
    run = frozen(trial=TrialConfig(1, "../study.journal", SearchConfig()))
    assert typed(run, "workers=0", "batch=8").batch == 8
    for token in ("epochs=9", "patience=3", "time=1", "close_mosaic=0"):
        with pytest.raises(ConfigError, match="compared with the others"):
            typed(run, token)


def test_data_may_lie_elsewhere_and_be_read_from_another_folder() -> None:
    run = frozen()
    again = typed(run, "data.source=/new/data.yaml")
    assert again.data.source == "/new/data.yaml"
    assert again.origin.folder is None, "what is relative there is so to where it is typed"
    assert typed(run, "workers=1").origin.folder == "/old"
    prepared = replace(again, origin=OriginConfig(folder="/new", dataset="8:abc"))
    assert moved(run, prepared) == replace(run, data=again.data, origin=prepared.origin)
    for digest in ("8:abd", "9:abc"):
        wanted = replace(prepared, origin=OriginConfig(folder="/new", dataset=digest))
        assert [key for key, *_ in differences(moved(run, wanted), wanted)] == ["data.source"]
    for token in ("data=shapes", "data=trees"):
        with pytest.raises(ConfigError) as error:
            typed(run, token)
        assert [problem.key for problem in error.value.problems] == ["data"]


@pytest.mark.parametrize("before", ["8:abc", None])
@pytest.mark.parametrize("check", [DataCheck.now, DataCheck.later])
def test_data_elsewhere_that_cannot_be_compared_is_taken_where_it_is_asked_for(
    before: str | None, check: DataCheck
) -> None:
    run = frozen(origin=OriginConfig(folder="/old", dataset=before))
    there = replace(run.cluster, launcher="slurm")
    wanted = replace(run, data=DataConfig("mine", "/new/data.yaml", check=check), cluster=there, origin=OriginConfig())
    is_compared_later = before is not None and check is DataCheck.now
    assert bool(differences(moved(run, wanted), wanted)) is not is_compared_later, "by a command of the same name"
    asked = moved(run, wanted, Done(3, 16))
    assert differences(asked, wanted) == []
    assert asked.origin.dataset is None, "the fingerprint is that of the data before"
    same = replace(wanted, data=replace(run.data, check=check))
    assert moved(run, same).origin.dataset == before


def test_the_fingerprint_of_a_run_is_not_that_of_data_elsewhere() -> None:
    run = frozen()
    elsewhere = replace(run, data=DataConfig("mine", "/new/data.yaml"), origin=OriginConfig())
    assert adopt(elsewhere, run).origin.dataset is None
    assert adopt(replace(run, origin=OriginConfig()), run).origin.dataset == "8:abc"


def test_a_path_typed_for_a_run_on_slurm_keeps_the_variables_of_its_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/login")
    run = frozen()
    on_slurm = replace(run, cluster=replace(run.cluster, launcher="slurm", partition="gpu"))
    assert typed(on_slurm, "data='$TMPDIR/a.yaml'").data.source == "$TMPDIR/a.yaml"
    assert typed(run, "data='$TMPDIR/a.yaml'").data.source == "/login/a.yaml"


def test_a_logger_that_is_added_takes_what_is_open_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    wandb = typed(frozen(), "logger=wandb", "logger.wandb.entity=me").logger.wandb
    assert wandb is not None
    assert (wandb.project, wandb.entity, wandb.job_type) == ("mine", "me", "train")
    before = frozen(logger=LoggerConfig(wandb=WandbConfig(project="first")))
    again = typed(before, "logger=wandb").logger.wandb
    assert again is not None
    assert again.project == "first"
