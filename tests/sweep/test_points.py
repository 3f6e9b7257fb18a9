from __future__ import annotations

import random
from itertools import product

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from yoloscale.config.errors import ConfigError
from yoloscale.sweep.points import MAX_POINTS, expand


def expanded(*tokens: str) -> list[str]:
    return [" ".join(point.tokens) for point in expand(tokens)]


@pytest.mark.parametrize(
    "tokens",
    [
        ["lr0=0.001,0.01", "model=yolo26n,yolo26s", "seed=range(0,3)", "epochs=3"],
        ["seed=choice(1,2)", "lr0=range(0.1,0.5,0.1)", "seed=4,5,6"],
        ["lr0=sort(3,1,2)", "seed=sort(range(0,4),reverse=true)", "epochs=tag(t,choice(5,6))"],
        ["+experiment=smoke,finetune", "batch=16,32"],
        ["classes=[0,1],[2]", "conf=null,0.5", "cos_lr=true,false"],
    ],
)
def test_points_come_in_the_order_of_hydras_own_sweeper(tokens: list[str]) -> None:
    parsed = OverridesParser.create().parse_overrides(tokens)
    [batch] = BasicSweeper.split_arguments(parsed, None)
    ours = [[token.replace("=true", "=True").replace("=false", "=False") for token in p.tokens] for p in expand(tokens)]
    assert ours == batch


@pytest.mark.parametrize(
    ("typed", "values"),
    [
        ("model=a.pt,my models/b.pt", ["model=a.pt", "model=my models/b.pt"]),
        ("data=path/x.yaml,/path/y.yaml", ["data=path/x.yaml", "data=/path/y.yaml"]),
        ("optimizer='SGD','a,b'", ["optimizer='SGD'", "optimizer='a,b'"]),
        (r"pretrained=a\,b.pt,c.pt", ["pretrained='a,b.pt'", "pretrained=c.pt"]),
        ("experiment=smoke,finetune", ["experiment=smoke", "experiment=finetune"]),
        ("logger=choice(default,wandb)", ["logger=default", "logger=wandb"]),
        ("logger=[tensorboard,wandb],default", ["logger=[tensorboard,wandb]", "logger=default"]),
        ("classes=choice(0,[1,2])", ["classes=0", "classes=[1,2]"]),
        ("scale=[0.5,1.0],0.3", ["scale=[0.5,1.0]", "scale=0.3"]),
        ("epochs=1e1,2e1", ["epochs=10.0", "epochs=20.0"]),
        ("conf=None,0.5", ["conf=None", "conf=0.5"]),
        ("imgsz=320,640", ["imgsz=320", "imgsz=640"]),
        ("model=glob('yolo26[nm]-seg')", ["model=yolo26m-seg", "model=yolo26n-seg"]),
        ("model=glob(yolo26*,exclude=[*-*,*x])", [f"model=yolo26{size}" for size in "lmns"]),
    ],
)
def test_what_one_key_is_swept_over(typed: str, values: list[str]) -> None:
    assert expanded(typed) == values


@pytest.mark.parametrize(
    "one_value",
    [
        *("device=0,1", "classes=0,2", "freeze=0,1", "scale=0.5,1.0", "cluster.gpus=0,1", "logger.wandb.tags=a,b"),
        *("logger=tensorboard,wandb", "name=a,b", "project=x,y", "paths.runs=a,b", "logger.wandb.notes=so, and so"),
        *("cluster.exclude=node1,node2", "cluster.sbatch.licenses=a,b", "optimizer='SGD,Adam'", "cos_lr", "segment"),
        *("name=it's $(x), yes", "~logger", "epochs=5,", "data.shapes={seed:3,image_size:64}"),
    ],
)
def test_commas_that_sweep_nothing(one_value: str) -> None:
    assert expanded(one_value, "lr0=1,2") == [f"{one_value} lr0=1", f"{one_value} lr0=2"]


def test_habits_of_the_command_line() -> None:
    assert expanded("lr0", "=", "1,2", "-m", "--epochs=3") == ["lr0=1 epochs=3", "lr0=2 epochs=3"]
    assert expanded("lr0=1,2", "epochs=3", "lr0=5,6") == ["lr0=5 epochs=3", "lr0=6 epochs=3"]


def test_where_configs_come_from_holds_for_every_point(tmp_path: object) -> None:
    assert expanded("--config-dir", str(tmp_path), "lr0=1,2")[1] == f"--config-dir={tmp_path} lr0=2"


def test_indices_and_what_is_swept() -> None:
    points = expand(["epochs=3", "lr0=1,2", "+experiment=smoke,finetune"])
    assert [point.index for point in points] == [0, 1, 2, 3]
    assert [[f"{c.key}:{c.word}" for c in point.swept] for point in points] == [
        [f"lr0:{lr0}", f"experiment:{recipe}"] for lr0, recipe in product("12", ("smoke", "finetune"))
    ]


def test_shuffled_values_are_all_there() -> None:
    random.seed(0)
    assert sorted(expanded("seed=shuffle(range(0,9))")) == [f"seed={n}" for n in range(9)]


@pytest.mark.parametrize(
    ("typed", "key", "said"),
    [
        ("epochs=3", "--multirun", "nothing to sweep over"),
        ("", "--multirun", "nothing to sweep over"),
        ("cluster=local,slurm", "cluster", "one job array"),
        ("cluster.nodes=1,2", "cluster.nodes", "one job array"),
        ("cluster.partition=choice(a,b)", "cluster.partition", "one job array"),
        ("hydra.verbose=true,false", "hydra.verbose", "one value"),
        ("lr0=interval(0,1)", "lr0", "no list"),
        ("lr0=range(0,1,0)", "lr0", "zero"),
        ("lr0=range(0.0,1.0,0.0)", "lr0", "Invalid range"),
        ("lr0=range(3,3)", "lr0", "no values"),
        ("lr0=range(", "lr0", "range("),
        ("optimizer=sort(a,1)", "optimizer", "sort"),
        ("lr0=glob(*)", "lr0", "no group"),
        ("model=glob(zzz*)", "model", "matches nothing"),
        ("seed=range(0,1000000000000)", "--multirun", f"more than {MAX_POINTS}"),
        ("seed=range(0,101) epochs=range(1,101)", "--multirun", f"more than {MAX_POINTS}"),
        ("--cfg job lr0=1,2", "--multirun", "print"),
    ],
)
def test_mistakes(typed: str, key: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        expand(["-m", *typed.split()])
    [problem] = raised.value.problems
    assert problem.key == key
    assert said in f"{problem.found} {problem.instead}"


def test_all_mistakes_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        expand(["lr0=interval(0,1)", "cluster.nodes=1,2", "epochs=3"])
    assert [problem.key for problem in raised.value.problems] == ["lr0", "cluster.nodes"]
