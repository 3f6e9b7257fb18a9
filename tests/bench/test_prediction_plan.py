from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from yoloscale.bench import prediction_commands as commands
from yoloscale.bench.plan import PredictionSettings, take_apart
from yoloscale.bench.prediction_plan import PredictionPlan, make_plan
from yoloscale.config.compose.flags import split
from yoloscale.config.compose.hydra import compose_run
from yoloscale.config.schema import Device, PredictConfig
from yoloscale.errors import ConfigError


def plan_of(*tokens: str) -> PredictionPlan:
    return make_plan(take_apart(["device=cpu", "cluster.procs_per_node=2", *tokens], PredictionSettings, "predict"))


def test_without_weights_there_are_random_ones_in_the_folder_of_the_measurement(tmp_path: Path) -> None:
    plan = plan_of(f"paths.runs={tmp_path}")
    assert plan.folder == tmp_path / "bench" / "yolo26n-predict"
    assert plan.weights == plan.folder / "yolo26n.pt"
    assert (plan.architecture, plan.source, plan.config.imgsz, plan.ranks) == ("yolo26n.yaml", None, 640, 2)
    assert list(tmp_path.iterdir()) == []


def test_what_is_typed_is_ours_and_what_it_means_is_yolos(tmp_path: Path) -> None:
    plan = plan_of(f"paths.runs={tmp_path}", "imgsz=320", "conf=0.4", "predict.unit=8", "bench.yolo=[half=false]")
    argv = commands.ours([f"model={plan.weights}", *plan.tokens], plan.folder, "ours-1", plan.images_of(0, 1))
    config = compose_run(split(argv[4:], kind="predict"), lambda path: None)
    assert isinstance(config, PredictConfig)
    assert (config.imgsz, config.conf, config.predict.unit, config.name) == (320, 0.4, 8, "ours-1")
    assert config.source == [str(plan.folder / "images.txt")]
    words = commands.yolo_arguments(plan.config, plan.weights, Path("images.txt"), plan.yolo)
    assert words == {
        "model": plan.weights,
        "source": Path("images.txt"),
        "conf": 0.4,
        "imgsz": 320,
        "device": "cpu",
        "save": False,
        "half": "false",
    }


def test_half_precision_is_for_both_on_gpus_and_for_ours_alone_on_cpus(tmp_path: Path) -> None:
    config = replace(plan_of(f"paths.runs={tmp_path}").config, quantize=16)
    gpus = replace(config, cluster=replace(config.cluster, device=Device.cuda, gpus=[2, 3]))
    assert "quantize" not in commands.yolo_arguments(config, Path("w"), Path("s"), {})
    on_gpus = commands.yolo_arguments(gpus, Path("w"), Path("s"), {})
    assert (on_gpus["quantize"], on_gpus["device"]) == (16, 2)


def test_one_rank_by_itself_has_no_more_of_the_machine_than_one_of_several(tmp_path: Path) -> None:
    config = plan_of(f"paths.runs={tmp_path}").config
    gpus = replace(config, cluster=replace(config.cluster, device=Device.cuda, gpus=[2, 3]))
    assert commands.alone(config, 1, 1) == ["cluster.procs_per_node=1", "cluster.threads=1", "predict.loaders=1"]
    assert commands.alone(gpus, 1, 4)[-1] == "device=3"


def test_a_folder_with_an_odd_name_is_one_word(tmp_path: Path) -> None:
    folder = tmp_path / "it's a $(folder), really"
    argv = commands.ours(["model=yolo26n"], folder, "ours-1", folder / "images.txt")
    config = compose_run(split(shlex.split(shlex.join(argv))[4:], kind="predict"), lambda path: None)
    assert isinstance(config, PredictConfig)
    assert (config.paths.runs, config.source) == (str(folder), [str(folder / "images.txt")])


@pytest.mark.parametrize(
    ("tokens", "key"),
    [
        (["bench.images=191"], "bench.images"),
        (["bench.batches=[]"], "bench.batches"),
        (["bench.batches=[0,4]"], "bench.batches"),
        (["bench.yolo=[cache]"], "bench.yolo"),
        (["source=[a,b]"], "source"),
        (["predict.slice=640"], "predict.slice"),
        (["predict.save=[txt]"], "predict.save"),
    ],
)
def test_what_cannot_be_compared_is_refused(tokens: list[str], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_of(*tokens)
    assert [problem.key for problem in caught.value.problems] == [key]
