from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from yoloscale.config.addresses import whole
from yoloscale.config.compose.hydra import compose
from yoloscale.config.freeze import load
from yoloscale.config.resolve import resolve
from yoloscale.config.schema import ClusterConfig
from yoloscale.errors import ConfigError
from yoloscale.launch.configure import configure
from yoloscale.sweep.directory import TakenSweep
from yoloscale.sweep.grammar.points import expand
from yoloscale.sweep.grammar.space import read_space
from yoloscale.system.machine import Machine

TWO_CPUS = Machine(gpu_count=0, cpus=2, has_bf16=True)


def written(path: str, text: str) -> str:
    """A YAML below ./configs; the flag that makes Hydra read it."""
    file = Path("configs") / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return "--config-dir=configs"


def expanded(*tokens: str) -> list[str]:
    return [" ".join(token for token in point.tokens if not token.startswith("--")) for point in expand(tokens)]


def test_a_sweep_written_as_yaml_is_as_if_it_was_typed() -> None:
    flag = written("sweep/mine.yaml", "params: {lr0: '0.001,0.01', model: 'yolo26n,yolo26s', seed: 'range(0,3)'}")
    typed = expand([flag, "lr0=0.001,0.01", "model=yolo26n,yolo26s", "seed=range(0,3)", "sweep=default", "epochs=3"])
    found = expand([flag, "sweep=mine", "epochs=3"])
    assert [point.swept for point in found] == [point.swept for point in typed]
    assert len(found) == 12
    assert found[1].tokens == (flag, "lr0=0.001", "model=yolo26n", "seed=1", "sweep=mine", "epochs=3")


def test_what_is_typed_wins_and_comes_behind() -> None:
    flag = written("sweep/mine.yaml", "params: {lr0: '0.001,0.01', seed: 'range(0,3)'}")
    assert expanded(flag, "sweep=mine", "epochs=1,2", "seed=7") == [
        f"lr0={lr0} sweep=mine epochs={epochs} seed=7" for lr0 in ("0.001", "0.01") for epochs in (1, 2)
    ]
    typed = expanded(flag, "sweep=mine", "sweep.params.lr0=0.5", "++sweep.params.seed=8,9")
    assert typed == ["lr0=0.5 seed=8 sweep=mine", "lr0=0.5 seed=9 sweep=mine"]


@pytest.mark.parametrize("place", ["sweep", "hydra:\n  sweeper"])
def test_a_recipe_may_sweep(place: str) -> None:
    indent = "    " if "hydra" in place else "  "
    text = f"# @package _global_\nepochs: 7\n{place}:\n{indent}params:\n{indent}  experiment: smoke,finetune\n"
    text = text.replace("experiment: smoke,finetune", "model: yolo26n,yolo26s")
    flag = written("experiment/mine.yaml", text)
    assert expanded(flag, "experiment=mine", "seed=1,2") == [
        f"model={model} experiment=mine seed={seed}" for model in ("yolo26n", "yolo26s") for seed in (1, 2)
    ]


def test_a_point_can_be_started_alone_with_what_it_puts_down(frozen: Callable[..., TakenSweep]) -> None:
    flag = written("sweep/mine.yaml", "params: {weight_decay: '0.001,0.01'}")
    sweep = frozen(flag, "name=s", "sweep=mine", "sweep.parallel=1", "epochs=1").directory
    run = sweep.runs()[1]
    alone = yaml.safe_load(run.overrides.read_text())
    assert alone == [flag, "weight_decay=0.01", "epochs=1"]
    point = load(run.config)
    assert replace(point, cluster=ClusterConfig()) == replace(
        resolve(compose(alone), TWO_CPUS), name=run.name, id=point.id, origin=point.origin, cluster=ClusterConfig()
    )


@pytest.mark.parametrize(
    "values", ["['https://h/a.zip?tok=SECRET', coco8]", "'https://me:SECRET@h/a.zip, https://h/b.zip?tok=SECRET'"]
)
def test_nothing_of_a_sweep_holds_what_opens_an_address(frozen: Callable[..., TakenSweep], values: str) -> None:
    flag = written("sweep/mine.yaml", f"params: {{data: {values}}}")
    sweep = frozen(flag, "name=s", "sweep=mine", "pretrained=false").directory
    assert load(sweep.runs()[0].config).data.source == "https://h/a.zip"
    assert "SECRET" in whole("https://h/a.zip"), "who fetches it has it"
    assert not [path for path in sweep.path.rglob("*") if "SECRET" in str(path)]
    assert not [path for path in sweep.path.rglob("*") if path.is_file() and b"SECRET" in path.read_bytes()]
    assert "SECRET" not in repr(read_space([flag, "sweep=mine"]))


def test_groups_and_the_command_line_alone() -> None:
    flag = written("sweep/mine.yaml", "params: {experiment: 'smoke,finetune', data: 'glob([coco8, coco12-*])'}")
    assert expanded(flag, "sweep=mine") == [
        f"experiment={recipe} data={data} sweep=mine"
        for recipe in ("smoke", "finetune")
        for data in ("coco12-formats", "coco8")
    ]
    assert expanded("sweep.params.lr0=0.1,0.2") == ["lr0=0.1", "lr0=0.2"]


@pytest.mark.parametrize(
    ("value", "values"),
    [
        ("[0.001, 0.01]", ["lr0=0.001", "lr0=0.01"]),
        ("[1]", ["lr0=1"]),
        ("[null, true]", ["lr0=null", "lr0=true"]),
        ("[SGD, 'a,b', \"it's\", a b]", ["lr0=SGD", "lr0='a,b'", r"lr0='it\'s'", "lr0='a b'"]),
        ("' choice(1,2) '", ["lr0=1", "lr0=2"]),
    ],
)
def test_values_that_are_no_text(value: str, values: list[str]) -> None:
    flag = written("sweep/mine.yaml", f"params:\n  lr0: {value}\n")
    assert expanded(flag, "sweep=mine") == [f"{each} sweep=mine" for each in values]


def test_constants_nested_keys_and_lists_of_lists() -> None:
    text = "params:\n  epochs: 3\n  cos_lr: true\n  data.shapes: {seed: 'range(0,2)'}\n  classes: [[0, 1], [2]]\n"
    flag = written("sweep/mine.yaml", text)
    assert expanded(flag, "sweep=mine") == [
        f"epochs=3 cos_lr=true data.shapes.seed={seed} classes={classes} sweep=mine"
        for seed in (0, 1)
        for classes in ("[0,1]", "[2]")
    ]


@pytest.mark.parametrize("values", ["[null, 10]", "'choice(0,10)'", "[[0, 10], 3]", "'null,10'"])
def test_layers_to_freeze_one_value_a_point(values: str) -> None:
    flag = written("sweep/mine.yaml", f"params: {{freeze: {values}}}\n")
    assert len(expanded(flag, "sweep=mine")) == 2


def test_files_are_read_where_the_rest_only_goes_together_with_a_swept_group() -> None:
    flag = written("sweep/mine.yaml", "params: {lr0: '1,2'}")
    tokens = [flag, "sweep=mine", "logger=choice(wandb,wandb_offline)", "logger.wandb.project=x"]
    assert len(expanded(*tokens)) == 4


@pytest.mark.parametrize(
    ("text", "typed", "key", "said"),
    [
        ("params: {classes: [0, 1]}", "sweep=mine", "sweep.params.classes", '"[0,1]" for all points, or "choice(0,1)"'),
        (
            "params: {freeze: '0,10'}",
            "sweep=mine",
            "freeze",
            "'freeze=[0,10]' for all points, or 'freeze=choice(0,10)'",
        ),
        ("params: {scale: '0.3,0.9'}", "sweep=mine", "scale", "scale=choice(0.3,0.9)"),
        ("params: {lr0: ''}", "sweep=mine", "sweep.params.lr0", "no values"),
        ("params: {lr0: []}", "sweep=mine", "sweep.params.lr0", "no values"),
        ("params: {model: yolo26n,yolo26s}", "sweep=mine", "sweep.params.yolo26s", "quotes"),
        ("params: {}", "sweep=mine", "--multirun", "nothing to sweep over"),
        ("parms: {}", "sweep=mine", "configs/sweep/mine.yaml:1", "sweep.parms: no such key"),
        ("params: {lr0: 'range(3,3)'}", "sweep=mine", "lr0", "no values"),
        ("params: {lr0: '${nope}'}", "sweep=mine", "sweep.params", "nope"),
        ("params: {}", "sweep=mine,default", "sweep", "one value"),
        ("params: {}", "sweep=nope", "sweep", "default, "),
    ],
)
def test_mistakes(text: str, typed: str, key: str, said: str) -> None:
    flag = written("sweep/mine.yaml", text)
    with pytest.raises(ConfigError) as raised:
        expand([flag, typed])
    [problem] = raised.value.problems
    assert problem.key.startswith(key)
    assert said in f"{problem.key} {problem.found} {problem.instead}"


@pytest.mark.parametrize("tokens", [["sweep=mine"], ["sweep.params.lr0=0.1,0.2"]])
def test_without_m_a_sweep_is_no_run(tokens: list[str]) -> None:
    flag = written("sweep/mine.yaml", "params: {lr0: '1,2'}")
    with pytest.raises(ConfigError, match="train -m"):
        configure([flag, *tokens])


def test_every_recipe_but_some() -> None:
    found = expanded("experiment=glob(*,exclude=[yolo26*,coco*])")
    assert found == [f"experiment={recipe}" for recipe in ("finetune", "shapes_demo", "smoke")]
