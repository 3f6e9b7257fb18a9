from __future__ import annotations

import random
import typing
from itertools import product

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from yoloscale.config.keys import LIST_LIKE, known, members
from yoloscale.errors import ConfigError
from yoloscale.sweep.grammar.names import folder_names
from yoloscale.sweep.grammar.points import MAX_POINTS, expand
from yoloscale.sweep.grammar.space import read_space


def expanded(*tokens: str) -> list[str]:
    return [" ".join(point.tokens) for point in expand(tokens)]


@pytest.mark.parametrize(
    "tokens",
    [
        ["lr0=0.001,0.01", "model=yolo26n,yolo26s", "seed=range(0,3)", "epochs=3"],
        ["seed=choice(1,2)", "lr0=range(0.25,1.0,0.25)", "data.shapes.seed=1,2", "data.shapes.seed=4,5,6"],
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
        *(
            "device=0,1",
            "classes=[0,2]",
            "freeze=[0,1]",
            "scale=(0.5,1.0)",
            "cluster.gpus=0,1",
            "logger.wandb.tags=[a,b]",
        ),
        *(
            "logger=[tensorboard,wandb]",
            "cluster.export=A,B",
            "name=a,b",
            "project=x,y",
            "paths.runs=a,b",
            "logger.wandb.notes=so, and so",
        ),
        *("cluster.exclude=node1,node2", "cluster.sbatch.licenses=a,b", "optimizer='SGD,Adam'"),
        *("name=it's $(x), yes", "~logger", "data.shapes={seed:3,image_size:64}"),
    ],
)
def test_commas_that_sweep_nothing(one_value: str) -> None:
    assert expanded(one_value, "lr0=1,2") == [f"{one_value} lr0=1", f"{one_value} lr0=2"]


@pytest.mark.parametrize(
    ("typed", "one_value"), [("cos_lr", "cos_lr=true"), ("segment", "task=segment"), ("epochs=5,", "epochs=5")]
)
def test_short_words_of_yolo_are_whole_in_a_point(typed: str, one_value: str) -> None:
    assert expanded(typed, "lr0=1,2") == [f"{one_value} lr0=1", f"{one_value} lr0=2"]


AMBIGUOUS = {
    "freeze=0,10": ("freeze=[0,10]", "freeze=choice(0,10)"),
    "classes=0,1,2": ("classes=[0,1,2]", "classes=choice(0,1,2)"),
    "scale=0.3, 0.9": ("scale=[0.3, 0.9]", "scale=choice(0.3, 0.9)"),
    "fraction=0.5,100": ("fraction=[0.5,100]", "fraction=choice(0.5,100)"),
    "logger.wandb.tags=first,second": ("logger.wandb.tags=[first,second]", "logger.wandb.tags=choice(first,second)"),
    "logger=tensorboard,wandb": ("logger=[tensorboard,wandb]", "logger=choice(tensorboard,wandb)"),
    "+freeze=9,23.cv2": ("freeze=[9,23.cv2]", "freeze=choice(9,23.cv2)"),
}


@pytest.mark.parametrize(("typed", "spellings"), AMBIGUOUS.items(), ids=AMBIGUOUS)
def test_commas_of_lists_are_asked_about_and_both_spellings_work(typed: str, spellings: tuple[str, str]) -> None:
    for read in (expand, read_space):
        with pytest.raises(ConfigError) as raised:
            read(["seed=1,2", typed])
        [problem] = raised.value.problems
        assert problem.key == typed.partition("=")[0].lstrip("+")
        assert all(spelling in problem.instead for spelling in spellings)
    one, several = spellings
    assert len(expand(["seed=1,2", one])) == 2
    values = typed.partition("=")[2].split(",")
    assert [point.swept[-1].word for point in expand(["seed=1,2", several])] == [v.strip() for v in values] * 2


@pytest.mark.parametrize("typed", ["freeze=null,10", "scale=0.5,null", "classes=[0,1],3", "fraction=0.5,[0.5,1.0]"])
def test_null_and_lists_are_among_several_values_only(typed: str) -> None:
    assert len(expand([typed])) == 2


def test_every_key_that_takes_a_list_has_commas_of_its_own() -> None:
    lists = {key for key, hint in known().items() if any(typing.get_origin(member) is list for member in members(hint))}
    assert {key for key in lists if not key.startswith("cluster.")} <= LIST_LIKE  # those of the cluster are never swept


DECIMALS = {
    "range(0.01,0.05,0.01)": [0.01, 0.02, 0.03, 0.04],
    "range(0.2,0.8,0.2)": [0.2, 0.4, 0.6],
    "range(0.1,0.5,0.1)": [0.1, 0.2, 0.3, 0.4],
    "range(0,1,0.3)": [0.0, 0.3, 0.6, 0.9],
    "range(0.5,0.2,-0.1)": [0.5, 0.4, 0.3],
    "sort(range(0.1,0.5,0.1),reverse=true)": [0.4, 0.3, 0.2, 0.1],
    "range(1e-4,5e-4,1e-4)": [0.0001, 0.0002, 0.0003, 0.0004],
    "float(range(1,3))": [1.0, 2.0],
    "range(0.7,1.0,0.1)": [0.7, 0.8, 0.9],
}


@pytest.mark.parametrize(("typed", "values"), DECIMALS.items(), ids=DECIMALS)
def test_ranges_of_fractions_count_in_decimals(typed: str, values: list[float]) -> None:
    points = expand([f"lr0={typed}"])
    assert [point.tokens[0] for point in points] == [f"lr0={value!r}" for value in values]
    assert folder_names(points) == [f"lr0={value:g}" for value in values]
    (dimension,) = read_space([f"lr0={typed}"]).dimensions
    assert sorted(dimension.values or ()) == sorted(values)


def test_an_end_that_a_step_leads_to_is_told_about() -> None:
    for read in (expand, read_space):
        said = list[str]()
        read(["lr0=range(0.01,0.05,0.01)", "lrf=range(0.1,0.45,0.1)", "seed=range(0,4)"], said.append)
        [line] = said
        assert line.startswith("lr0=range(0.01,0.05,0.01): 4 values, 0.01 to 0.04; ")
        assert "end at 0.055 to have 0.05" in line
        assert len(expand(["lr0=range(0.01,0.055,0.01)"])) == 5


def test_habits_of_the_command_line() -> None:
    assert expanded("lr0", "=", "1,2", "-m", "--epochs=3") == ["lr0=1 epochs=3", "lr0=2 epochs=3"]
    assert expanded("lr0=1,2", "epochs=3", "lr0=5,6") == ["lr0=5 epochs=3", "lr0=6 epochs=3"]
    assert expanded("cos_lr", "segment", "epochs=5,", "lr0=1,2")[0] == "cos_lr=true task=segment epochs=5 lr0=1"


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
        ("cluster.launcher=local,slurm", "cluster.launcher", "one job array"),
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
