from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from yoloscale.config.compose import many as module
from yoloscale.config.compose.hydra import compose
from yoloscale.config.compose.many import compose_each
from yoloscale.config.schema import Config, Task
from yoloscale.config.typed import build, from_plain, to_plain
from yoloscale.errors import ConfigError

GROUPS = [
    ["model=yolo26n"],
    ["model=yolo26n", "model.weights=null"],
    ["model=yolo26n.yaml", "imgsz=64"],
    ["model=yolo26n-cls"],
    ["model=yolo12s-seg"],
    ["experiment=smoke", "epochs=7"],
    ["experiment=smoke", "data=coco8"],
    ["experiment=yolo26_s", "lr0=0.3", "pretrained=false"],
    ["data=coco8"],
    ["data.shapes=null"],
    ["logger=tensorboard,wandb", "logger.wandb.tags=a,b"],
    ["debug=trace", "checkpoint.interval=epoch"],
    ["~logger", "logger.tensorboard=true"],
    ["segment", "model=yolo26n-seg"],
    ["device=0,1", "cluster.nodes=2"],
    ["data.shapes={seed:3}"],
    ["hydra.verbose=true"],
    ["cluster=slurm", "cluster.sbatch.licenses=a,b", "cluster.env.A=1", "cluster.exclude=n1,n2"],
]
ORDER_MATTERS = [
    ["lr0=0.1", "lr0=0.2"],
    ["++lr0=0.3", "lr0=0.4"],
    ["lr0=0.4", "++lr0=0.3"],
    ["data.shapes.seed=5", "data.shapes=null"],
    ["data.shapes.seed=9", "data.shapes={seed:3}"],
    ["data.shapes={seed:3}", "data.shapes.seed=9"],
]
INTERPOLATED = [
    ["name=${model.name}-${lr0}", "lr0=1"],
    ["name=${model.name}-${lr0}", "lr0=2"],
    ["name=${HOME}", "lr0=2"],
    ["logger=wandb", "logger.wandb.group=${data.name}", "model=yolo26s"],
    ["model.name=${data.name}", "seed=2"],
    ["epochs=${seed}", "seed=3"],
    ["epochs=${seed}", "seed=4"],
]
WRONG = [
    ["lr0=abc", "epoch=3"],
    ["lr0=abc", "cluster.launcher=foo"],
    ["model=nope"],
    ["data=custom"],
    ["data=coco8", "data.shapes.seed=1"],
    ["data.shapes=null", "data.shapes.seed=5"],
    ["logger.wandb.project=x"],
    ["+lr0=0.1"],
    ["name=${model.nam}${model.name}"],
    ["--config-name", "nothing"],
    ["--config-dir", "/no/such"],
    ["-m", "lr0=1"],
    ["lr0=0.1,0.2"],
    ["--nope"],
]
VALUES = [
    ["lr0=1", "seed=3", "batch=0.5", "cache=ram", "scale=0.1", "classes=1", "freeze=[0,1]", "conf=0.3", "amp=bf16"],
    ["lr0=1e-3", "batch=16", "cache=true", "scale=0.1,0.4", "classes=0,2", "freeze=3", "conf=None", "cos_lr"],
    ["cache=None", "classes=null", "optimizer=SGD", "auto_augment=null", "imgsz=320", "name=it's $(x)"],
    ["classes=0,2", "cache=ram", "conf=0.3", "freeze=[0,1]", "scale=0.1", "batch=0.5", "pretrained=a/x.pt"],
    ["cluster.gpus=1", "cluster.time=12:00:00", "paths.runs=/a b", "name=a\\b"],
    ["cluster.gpus=0,1", "cluster.time=90", "paths.runs=c", "name=d"],
]
EACH = [*GROUPS, *ORDER_MATTERS, *INTERPOLATED, *WRONG, *VALUES]


def alone(argv: Sequence[str]) -> object:
    try:
        return repr(compose(argv))
    except ConfigError as error:
        return error.problems


def shown(found: Config | ConfigError) -> object:
    return found.problems if isinstance(found, ConfigError) else repr(found)


@pytest.mark.long
def test_each_is_what_it_is_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [shown(found) for found in compose_each(EACH)] == [alone(argv) for argv in EACH]


def test_nothing_of_one_config_is_left_in_the_next() -> None:
    values = ["classes=0,2", "classes=1", "classes=null", "classes=[3]", "scale=0.1", "scale=0.1,0.4", "scale=0.2"]
    argvs = [[value, f"lr0={lr0}"] for lr0 in (0.1, 0.2) for value in values]
    assert [shown(found) for found in compose_each([*argvs, *argvs[::-1]])] == [
        shown(found) for argv in [*argvs, *argvs[::-1]] for found in compose_each([argv])
    ]


def test_files_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nepochs: ${seed}\n")
    (tmp_path / "best.pt").write_bytes(b"")
    asked: list[Path] = []

    def task_of(path: Path) -> Task:
        asked.append(path)
        return Task.classify

    argvs = [
        ["--config-dir", str(tmp_path), "experiment=mine", "model=best.pt", f"seed={seed}", f"lr0=0.{seed}"]
        for seed in (1, 2, 3)
    ]
    found = compose_each(argvs, task_of)
    assert asked == [Path("best.pt")], "read once"
    assert found == [compose(argv, task_of) for argv in argvs]
    assert [config.epochs for config in found if isinstance(config, Config)] == [1, 2, 3]


def test_hydra_composes_once_for_each_choice_of_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    composed: list[tuple[str, list[str]]] = []
    real = module.compose_tree

    def counted(config_name: str, overrides: list[str], **given: Any) -> object:
        composed.append((config_name, overrides))
        return real(config_name, overrides, **given)

    monkeypatch.setattr(module, "compose_tree", counted)
    compose_each(
        [[f"model={model}", f"lr0=0.{n}", "epochs=3"] for model in ("yolo26n", "yolo26s") for n in range(1, 9)]
    )
    assert composed == [("train", ["model=yolo26n"]), ("train", ["model=yolo26s"])]


def test_recipes_and_transforms_are_read_once_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nepochs: 3\n")
    (tmp_path / "mine.yaml").write_text("- Blur: {p: 0.1}\n")
    opened: list[str] = []
    real = Path.read_text

    def counted(path: Path, *given: Any, **named: Any) -> str:
        opened.append(str(path.relative_to(tmp_path) if path.is_relative_to(tmp_path) else path))
        return real(path, *given, **named)

    monkeypatch.setattr(Path, "read_text", counted)
    common = ["--config-dir", str(tmp_path), "experiment=mine", "augmentations=mine.yaml"]
    found = compose_each([[*common, f"seed={seed}"] for seed in range(5)])
    assert [config.epochs for config in found if isinstance(config, Config)] == [3] * 5
    assert [opened.count(name) for name in ("experiment/mine.yaml", "mine.yaml")] == [1, 1]


def test_what_a_tree_does_not_take_is_refused_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sequence[str]] = []

    def counted(argv: Sequence[str], *given: Any, **named: Any) -> Config:
        asked.append(argv)
        return compose(argv, *given, **named)

    monkeypatch.setattr(module, "compose", counted)
    unfit = ["logger.wandb.tags=[a]", "logger.mlflow.experiment=b"]
    argvs = [[*words, f"seed={seed}"] for words in (unfit[:1], unfit, unfit[1:]) for seed in range(3)]
    found = compose_each(argvs)
    assert asked == argvs[::3]
    for argv, error in zip(argvs, found, strict=True):
        with pytest.raises(ConfigError) as raised:
            compose(argv)
        assert isinstance(error, ConfigError)
        assert error.problems == raised.value.problems


@pytest.mark.parametrize("argv", GROUPS, ids=" ".join)
def test_a_config_is_built_from_its_plain_data(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = compose(argv)
    assert repr(build(Config, to_plain(config))) == repr(from_plain(to_plain(config), Config)) == repr(config)
