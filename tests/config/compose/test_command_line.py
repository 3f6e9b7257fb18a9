from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from yoloscale.config.compose import command_line, flags
from yoloscale.config.compose.catalog import Catalog, read_catalog
from yoloscale.config.compose.words import join_equals, words
from yoloscale.config.locations import configs_folder
from yoloscale.errors import ConfigError, Problem

CATALOG = Catalog(
    groups={
        "model": ("custom", "default", "yolo26n", "yolo26n-seg"),
        "data": ("custom", "shapes", "coco8", "VOC"),
        "cluster": ("local",),
        "logger": ("default", "none", "tensorboard", "wandb"),
        "experiment": ("smoke",),
    },
    architectures={"yolo12": Path("absent/yolo12.yaml")},
    datasets={"new-set": Path("absent/New-Set.yaml")},
)


def rewrite(typed: list[str], catalog: Catalog) -> tuple[list[str], list[Problem]]:
    return command_line.rewrite(words(typed), catalog)


@pytest.fixture(autouse=True)
def _empty_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("typed", "overrides"),
    [
        ("epochs=100", ["epochs=100"]),
        ("epochs=1e2", ["epochs=100"]),
        ("epochs=007", ["epochs=7"]),
        ("seed=9007199254740993", ["seed=9007199254740993"]),  # no float has it
        ("epochs=5,", ["epochs=5"]),
        ("lr0=1e-3", ["lr0=1e-3"]),
        ("batch=0.7", ["batch=0.7"]),
        ("cos_lr", ["cos_lr=true"]),
        ("cos_lr=True", ["cos_lr=true"]),
        ("conf=None", ["conf=null"]),
        ("cache=ram", ["cache='ram'"]),
        ("cache=True", ["cache=true"]),
        ("pretrained=False", ["pretrained=false"]),
        ("pretrained=my weights.pt", ["pretrained='my weights.pt'"]),
        ("classes=0,2", ["classes=[0,2]"]),
        ("classes=[0,2]", ["classes=[0,2]"]),
        ("classes=0", ["classes=0"]),
        ("freeze=0,1,2", ["freeze=[0,1,2]"]),
        ("scale=0.5,1.0", ["scale=[0.5,1.0]"]),
        ("scale=(0.5, 1.0)", ["scale=[0.5, 1.0]"]),
        ("cluster.gpus=1", ["cluster.gpus=[1]"]),
        ("cluster.export=A", ["cluster.export=['A']"]),
        ("cluster.export=[A, B=c d]", ["cluster.export=['A','B=c d']"]),
        ("cluster.export=[]", ["cluster.export=[]"]),
        ("cluster.export=null", ["cluster.export=null"]),
        ("cluster.env.A_1=1", ["++cluster.env.A_1='1'"]),
        ("cluster.sbatch.mem-per-cpu=2G", ["++cluster.sbatch.mem-per-cpu='2G'"]),
        ("logger.wandb.tags=a,b", ["logger.wandb.tags=[a,b]"]),
        ("name=it's $(x)", [r"name='it\'s $(x)'"]),
        ("name='quoted already'", ["name='quoted already'"]),
        ("name=${model.name}-x", ["name='${model.name}-x'"]),
        ("name=${HOME}", [r"name='\${HOME}'"]),
        ("name=None", ["name=null"]),
        ("project=my runs", ["paths.runs='my runs'"]),
        ("task=segment", ["model.task=segment"]),
        ("segment", ["model.task=segment"]),
        ("train", []),
        ("mode=train", []),
        ("resume=False", []),
        ("cfg=None", []),
        ("data=None", []),
        ("data=coco8.yaml,", ["data=coco8"]),
        ("model=yolo26n,", ["model=yolo26n"]),
        ("mode='train'", []),
        ("half=False", ["quantize=null"]),
        ("half", ["quantize=16"]),
        ("int8=True", ["quantize=8"]),
        ("end2end=True", ["nms=false"]),
        ("end2end=False", ["nms=null"]),
        ("imgsz=64,48", ["imgsz=64"]),
        ("imgsz=(48, 64)", ["imgsz=64"]),
        ("imgsz=[96]", ["imgsz=96"]),
        ("close_mosaic=False", ["close_mosaic=0"]),
        ("multi_scale=True", ["multi_scale=1.0"]),
        ("freeze=False", ["freeze=0"]),
        ("time=0", ["time=null"]),
        ("cache=None", ["cache=false"]),
        ("pretrained=None", ["pretrained=true"]),
        ("amp=BF16", ["amp='bf16'"]),
        ("fraction=1", ["fraction=1.0"]),
        ("save_dir=out/a", ["paths.runs='out'", "name='a'"]),
        ("format=onnx", []),
        ("exist_ok", []),
        ("exist_ok=False", []),
        ("device=cpu", ["cluster.device=cpu"]),
        ("device=0", ["cluster.device=cuda", "cluster.gpus=[0]", "cluster.procs_per_node=1"]),
        ("device=0,1", ["cluster.device=cuda", "cluster.gpus=[0,1]", "cluster.procs_per_node=2"]),
        ("device=[0,1]", ["cluster.device=cuda", "cluster.gpus=[0,1]", "cluster.procs_per_node=2"]),
        ("device='0,1'", ["cluster.device=cuda", "cluster.gpus=[0,1]", "cluster.procs_per_node=2"]),
        ("device=cuda:1", ["cluster.device=cuda", "cluster.gpus=[1]", "cluster.procs_per_node=1"]),
        ("device=", ["cluster.device=auto"]),
        ("cluster=local", ["cluster=local"]),
        ("logger=tensorboard,wandb", ["logger=[tensorboard,wandb]"]),
        ("+experiment=smoke", ["+experiment=smoke"]),
        ("experiment=null", []),
        ("~logger", ["~logger"]),
        ("hydra.verbose=true", ["hydra.verbose=true"]),
        ("model=yolo26n", ["model=yolo26n"]),
        ("model=YOLO26N", ["model=yolo26n"]),
        ("model=yolo26n.pt", ["model=yolo26n", "model.weights='yolo26n.pt'"]),
        ("model=yolo26n.yaml", ["model=yolo26n", "model.weights=null"]),
        ("data=coco8", ["data=coco8"]),
        ("data=coco8.yaml", ["data=coco8"]),
        ("data=voc", ["data=VOC"]),
        ("data=new-set", ["data=custom", "data.name='New-Set'", "data.source='New-Set.yaml'"]),
        ("data=some/my.data.yaml", ["data=custom", "data.name='my.data'", "data.source='some/my.data.yaml'"]),
        ("data=/some/my.folder", ["data=custom", "data.name='my.folder'", "data.source='/some/my.folder'"]),
    ],
)
def test_what_is_typed_and_what_hydra_gets(typed: str, overrides: list[str]) -> None:
    assert rewrite([typed], CATALOG) == (overrides, [])


@pytest.mark.parametrize(
    "typed",
    [
        ["epochs", "=", "5"],
        ["epochs=", "5"],
        ["epochs", "=5"],
        ["epochs = 5"],
        ["epochs=5,"],
        ["epochs=7", "epochs=5"],
    ],
)
def test_equals_signs_standing_alone(typed: list[str]) -> None:
    assert rewrite([*typed, "cos_lr"], CATALOG) == (["epochs=5", "cos_lr=true"], [])


@pytest.mark.parametrize("typed", [["freeze=[0,", "1]"], ["freeze=", "[0,1]"], ["freeze", "=[0,", "1,", "]"]])
def test_a_list_in_several_words(typed: list[str]) -> None:
    (override,), problems = rewrite(typed, CATALOG)
    assert not problems
    assert OverridesParser.create().parse_override(override).value() == [0, 1]


@pytest.mark.parametrize("flag", ["-m", "--multirun", "--dry-run"])
def test_a_flag_is_no_value(flag: str) -> None:
    assert join_equals(["project=", flag, "seed=0,1"]) == ["project=", flag, "seed=0,1"]
    assert join_equals(["project", "=", flag, "seed=0,1"]) == ["project=", flag, "seed=0,1"]


@pytest.mark.parametrize("number", ["-1", "-.5", "-1e-3", "-inf", "-1,0,1"])
def test_a_negative_number_is_a_value(number: str) -> None:
    assert join_equals(["lr0=", number, "-m"]) == join_equals(["lr0", "=", number, "-m"]) == [f"lr0={number}", "-m"]


def test_brackets_that_are_never_closed_take_no_other_argument() -> None:
    assert words(["name=[a", "epochs=5"]) == ["name=[a", "epochs=5"]


def test_the_last_of_an_argument_that_stands_for_several_keys_counts() -> None:
    assert rewrite(["device=0,1", "device=cpu"], CATALOG) == (["cluster.device=cpu"], [])
    assert rewrite(["model=yolo26n.yaml", "model=yolo26n-seg"], CATALOG) == (["model=yolo26n-seg"], [])


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("format=onnx", "yolo export"),
        ("source=bus.jpg", "yolo predict"),
        ("tracker=botsort.yaml", "yolo predict"),
        ("label_smoothing=0.1", "removed"),
        ("exist_ok=True", "overwrites no run"),
        ("half=True", "amp="),
        ("quantize=fp32", "amp="),
        ("imgsz=64,48", "imgsz=64"),
        ("multi_scale=True", "meant 0.5"),
        ("patience=True", "patience=1"),
        ("show=True", "yolo predict"),
    ],
)
def test_what_has_no_effect_is_taken_with_one_line(typed: str, line: str) -> None:
    said = list[str]()
    assert command_line.rewrite(words([typed]), CATALOG, said.append)[1] == []
    assert len(said) == 1
    assert line in said[0]


@pytest.mark.parametrize("typed", ["format=torchscript", "show=False", "half=False", "int8=0", "save_dir=None"])
def test_defaults_are_dropped_in_silence(typed: str) -> None:
    said = list[str]()
    assert command_line.rewrite(words([typed]), CATALOG, said.append)[1] == []
    assert said == []


@pytest.mark.parametrize("key", ["cluster.env.1A", "cluster.env.A B", "cluster.sbatch.--hold", "cluster.env."])
def test_a_key_that_hydra_cannot_read_is_named(key: str) -> None:
    overrides, problems = rewrite([f"{key}=1"], CATALOG)
    assert (overrides, [problem.key for problem in problems]) == ([], [key])


def test_weights_of_ones_own_are_data() -> None:
    overrides, problems = rewrite(["model=my dir/it's, $(x)={}-seg.pt"], CATALOG)
    assert not problems
    assert overrides[0] == "model=custom"
    assert "model.task='segment'" in overrides
    assert r"model.weights='my dir/it\'s, $(x)={}-seg.pt'" in overrides


def test_a_file_in_the_working_folder_wins_over_the_name(tmp_path: Path) -> None:
    (tmp_path / "coco8.yaml").write_text("names: [a]")
    assert rewrite(["data=coco8.yaml"], CATALOG)[0][-1] == "data.source='coco8.yaml'"
    (tmp_path / "yolo26n.yaml").write_text("head: [[-1, 1, Pose, [nc]]]")
    overrides, _ = rewrite(["model=yolo26n.yaml"], CATALOG)
    assert "model.task='pose'" in overrides
    assert "model.architecture='yolo26n.yaml'" in overrides


@pytest.mark.parametrize("command", [["data=folder"], ["data=."]])
def test_a_folder_is_a_classification_dataset(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "folder").mkdir()
    assert rewrite(command, CATALOG)[0][0] == "data=custom"


def test_architectures_of_the_installed_ultralytics_without_a_group_file() -> None:
    catalog = read_catalog([configs_folder()])
    overrides, problems = rewrite(["model=yolo12s-seg"], catalog)
    assert not problems
    assert overrides[1:] == [
        "model.name='yolo12s-seg'",
        "model.task='segment'",
        "model.weights='yolo12s-seg.pt'",
        "model.architecture='yolo12s-seg.yaml'",
    ]


@pytest.mark.parametrize(
    ("typed", "key", "hint"),
    [
        ("epoch=5", "epoch", "epochs"),
        ("Epochs=5", "Epochs", "epochs"),
        ("procs_per_node=2", "procs_per_node", "cluster.procs_per_node"),
        ("cluster.node=2", "cluster.node", "cluster.nodes"),
        ("learning_rate=2", "learning_rate", "every key"),
        ("+foo=1", "foo", "every key"),
        ("~epochs", "~epochs", "whole number"),
        ("epochs", "epochs", "epochs=…"),
        ("modle=yolo26n", "modle", "model"),
        ("resume=True", "resume", "yoloscale resume RUN"),
        ("resume=runs/last.pt", "resume", "yoloscale resume RUN"),
        ("device=-1", "device", "device=0,1"),
        ("device=mps", "device", "device=cpu"),
        ("device=0,0", "device", "its own"),
        ("device=npu:0", "device", "device=cpu"),
        ("task=detection", "task", "detect"),
        ("model=yolo62n", "model", "yolo26n"),
        ("model=yolo62n.yaml", "model", "yolo26n"),
        ("model=", "model", "path/to/weights.pt"),
        ("model=no/such/file.yaml", "model", "path/to/architecture.yaml"),
        ("data=coco9", "data", "coco8"),
        ("data=coco9.yaml", "data", "coco8"),
        ("data=", "data", "path/to/data.yaml"),
        ("experiment=smok", "experiment", "experiment=smoke"),
        ("cluster=slurm", "cluster", "local"),
        ("something", "something", "every key"),
    ],
)
def test_mistakes_name_the_key_and_the_way_out(typed: str, key: str, hint: str) -> None:
    overrides, problems = rewrite([typed], CATALOG)
    assert overrides == []
    assert [problem.key for problem in problems] == [key]
    assert hint in problems[0].instead


@pytest.mark.parametrize("none", ["null", "None", "", "'null'"])
def test_a_group_that_every_config_has_cannot_be_none_and_a_recipe_can(none: str) -> None:
    """Hydra ends with a traceback where it is handed on."""
    overrides, (problem,) = rewrite([f"cluster={none}", f"experiment={none}", "epochs=3"], CATALOG)
    assert overrides == ["epochs=3"]
    assert problem.key == "cluster"
    assert problem.instead.endswith("one of: local")


def test_an_option_that_is_called_none_is_one() -> None:
    assert rewrite(["logger=none"], CATALOG) == (["logger=none"], [])


def test_all_mistakes_are_told() -> None:
    overrides, problems = rewrite(["epoch=5", "lr0=0.1", "device=mps", "model=yolo62n"], CATALOG)
    assert [problem.key for problem in problems] == ["epoch", "device", "model"]
    assert overrides == ["lr0=0.1"]


def test_flags_are_told_from_overrides() -> None:
    given = flags.split(["--cfg", "job", "a=1", "-m", "--info", "b=2", "--epochs=5", "-cd", "x", "--config-name=y"])
    assert given.tokens == ("a=1", "b=2", "epochs=5")
    assert given.given == {"cfg": "job", "multirun": "", "info": "all", "config-dir": "x", "config-name": "y"}


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (["--nproc-per-node", "2"], "cluster.procs_per_node"),
        (["--nnodes=2"], "cluster.nodes"),
        (["--epoch", "3"], "epochs"),
        (["--multirn"], "--multirun"),
        (["--config-dir"], "VALUE"),
        (["--source", "x"], "yolo predict"),
        (["--zzzzzz"], "--help"),
    ],
)
def test_unknown_flags_name_the_key(argv: list[str], hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        flags.split(argv)
    assert len(raised.value.problems) == 1
    assert hint in raised.value.problems[0].instead


def test_an_argument_of_a_newer_ultralytics_is_dropped_at_its_default_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "argument_defaults", lambda: {"new_thing": 0.5})
    assert rewrite(["new_thing=0.5"], CATALOG) == ([], [])
    overrides, problems = rewrite(["new_thing=0.6"], CATALOG)
    assert (overrides, [problem.key for problem in problems]) == ([], ["new_thing"])
    assert "installed Ultralytics" in problems[0].found
