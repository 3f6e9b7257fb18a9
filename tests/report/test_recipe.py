"""The recipe of a frozen config composes to that config, but for where it trains and what it is called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from yoloscale.config.compose.hydra import compose
from yoloscale.config.freeze import freeze, load
from yoloscale.config.resolve import resolve
from yoloscale.config.schema import ClusterConfig, Config, LoggerConfig, PathsConfig
from yoloscale.config.schema.sweep import SweepConfig, TrialConfig
from yoloscale.report.recipe import composer, recipe
from yoloscale.system.machine import Machine

TWO_CPUS = Machine(gpu_count=0, cpus=2, has_bf16=True)
EIGHT_GPUS = Machine(gpu_count=8, cpus=64, has_bf16=True)
COMPOSED = composer()


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sets").mkdir()
    Path("sets/coco8.yaml").write_text("path: .\ntrain: a\nval: a\nnames: {0: a}\n")
    Path("sets/arch.yaml").write_text("head: [[-1, 1, Detect, [nc]]]")
    Path("own/model").mkdir(parents=True)
    Path("own/model/mine.yaml").write_text("name: mine\ntask: detect\nweights: my \\${x}.pt\narchitecture: null\n")
    Path("own/local").mkdir()
    Path("own/experiment").mkdir()
    text = "# @package _global_\ndefaults:\n  - override /model: yolo26s\nlr0: 0.003\nscale: [0.2, 0.9]\n"
    Path("own/experiment/base.yaml").write_text(text)


def frozen(tokens: list[str], machine: Machine) -> Config:
    config = replace(resolve(compose(tokens), machine), name="point", trial=TrialConfig(1, "../study.journal"))
    freeze(config, Path("config.yaml"))
    return load(Path("config.yaml"))


def training(config: Config) -> Config:
    elsewhere = {"cluster": ClusterConfig(), "logger": LoggerConfig(), "paths": PathsConfig(), "sweep": SweepConfig()}
    return replace(config, name=None, trial=None, **elsewhere)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "model=yolo26n data=coco8 epochs=3 lr0=0.002 batch=8",
        "model=yolo26n.yaml data=coco8",
        "model=yolo26n.pt data=sets/coco8.yaml",
        "model=sets/arch.yaml data=sets/coco8.yaml",
        "model=some.pt data=shapes data.shapes.train_images=32 data.shapes.seed=4 cache=false",
        "model=yolo12n data=coco8 pretrained=false",
        "model=yolo26n pretrained=other.pt task=segment",
        "model=yolo26n-cls data=imagenet10",
        "model=custom model.name=yolo26n model.weights=null model.architecture=yolo26n.yaml",
        "data=trees model=yolo26m",
        "experiment=smoke experiment=smoke data=coco8",
        "experiment=shapes_demo model=yolo26s",
        "experiment=yolo26_x debug.trace=true checkpoint.keep=5",
        "--config-dir=own model=mine experiment=base data=coco8",
        "--config-dir=own experiment=base classes=[0,2] conf=0.25 pretrained=a${b}.pt cos_lr=true amp=false",
        "logger=wandb logger.wandb.tags=a,b sweep.parallel=3 device=cpu",
    ],
)
def test_a_recipe_composes_to_the_same_training(typed: str) -> None:
    machine = TWO_CPUS if "model" in typed else EIGHT_GPUS
    config = frozen(typed.split(), machine)
    text = recipe(config, ["why"], COMPOSED)
    Path("out/experiment").mkdir(parents=True)
    Path("out/experiment/best.yaml").write_text(text)
    again = resolve(compose(["--config-dir=out", "experiment=best"]), machine)
    assert training(again) == training(config)
    assert text.startswith("# @package _global_\n# why\ndefaults:\n- override /model: ")
    assert len(text.splitlines()) < 45, "only what differs from the defaults"


def test_settings_of_this_machine_are_no_part_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import shutil

    from yoloscale.config.compose import hydra as compose_module
    from yoloscale.config.locations import configs_folder
    from yoloscale.report import recipe as recipe_module

    plain = configs_folder()
    mine = tmp_path / "configs"
    shutil.copytree(plain, mine)
    (mine / "local").mkdir()
    (mine / "local" / "default.yaml").write_text("# @package _global_\nepochs: 7\nworkers: 3\n")
    for module in (compose_module, recipe_module):
        monkeypatch.setattr(module, "configs_folder", lambda: mine)
    config = frozen(["workers=8"], TWO_CPUS)
    assert (config.epochs, config.workers) == (7, 8)
    Path("out/experiment").mkdir(parents=True)
    Path("out/experiment/best.yaml").write_text(recipe(config, []))
    for folder in (mine, plain):
        for module in (compose_module, recipe_module):
            monkeypatch.setattr(module, "configs_folder", lambda folder=folder: folder)
        again = resolve(compose(["--config-dir=out", "experiment=best"]), TWO_CPUS)
        assert training(again) == training(config)
