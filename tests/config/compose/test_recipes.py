"""Recipes that people wrote as they are written elsewhere: every trouble with file and line, and the line to write."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from yoloscale.config.compose.hydra import compose
from yoloscale.errors import ConfigError

GLOBAL = "# @package _global_\n"
Tell = Callable[[str], "list[tuple[int, str, str]]"]


@pytest.fixture
def tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tell:
    """`tell(text)`: line, what was found and what to write, of each problem of a recipe with this text."""
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    def ask(text: str, *tokens: str) -> list[tuple[int, str, str]]:
        (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(text)
        with pytest.raises(ConfigError) as raised:
            compose(["--config-dir", "conf", "experiment=mine", *tokens])
        return [placed(problem.key, problem.found, problem.instead) for problem in raised.value.problems]

    return ask


def placed(key: str, found: str, instead: str) -> tuple[int, str, str]:
    at = re.fullmatch(r"conf/experiment/mine\.yaml:(\d+)", key)
    assert at is not None, key
    return int(at[1]), found, instead


@pytest.mark.parametrize(
    ("entry", "instead"),
    [
        ("/model: yolo11s", "write `- override /model: yolo11s`"),
        ("model: yolo11s", "write `- override /model: yolo11s`"),
        ("override model: yolo11s", "write `- override /model: yolo11s`"),
        ("/cluster: slurm", "write `- override /cluster: slurm`"),
        ("logger: wandb.yaml", "write `- override /logger: wandb`"),
        ("override /model: yolo11q", "write `- override /model: yolo11"),
        ("override /data: parts.yaml", "source: parts.yaml"),
        ("override /hydra/launcher: joblib", "override /cluster: slurm"),
        ("override /hydra/sweeper: ax", "override /sweep: tpe"),
        ("override /optimizer: adamw", "groups: "),
        ("bass", "override /GROUP"),
    ],
)
def test_an_entry_of_the_defaults_is_told_with_the_one_to_write(tell: Tell, entry: str, instead: str) -> None:
    ((line, found, told),) = tell(f"{GLOBAL}# mine\ndefaults:\n  - _self_\n  - {entry}\nepochs: 3\n")
    assert line == 5
    assert f"- {entry}" in found
    assert instead in told


@pytest.mark.parametrize("text", ["epochs: 3\n", "batch: 4\nlr0: 0.1\n", "defaults:\n  - override /model: yolo11n\n"])
def test_without_its_package_a_recipe_is_read_by_nobody(tell: Tell, text: str) -> None:
    assert tell(text) == [
        (1, "its keys go below experiment:, where nobody reads them", f"write {GLOBAL.strip()} as the first line")
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model: yolo11n", [(4, "model: 'yolo11n', where model has keys", "`- override /model: yolo11n`")]),
        ("data: my/data.yaml", [(4, "data: 'my/data.yaml', where", "`data: {name: data, source: my/data.yaml}`")]),
        ("model: runs/a/best.pt", [(4, "model: 'runs/a/best.pt'", "`model: {name: best, weights: runs/a/best.pt}`")]),
        ("cluster: slurm", [(4, "cluster: 'slurm'", "`- override /cluster: slurm`")]),
        ("epoch: 3\nbatchsize: 4", [(4, "epoch: no such key", "epochs"), (5, "batchsize: no such key", "batch")]),
        ("device: 0", [(4, "device: no such key", "cluster.gpus")]),
        ("cluster:\n  node: 4", [(5, "cluster.node: no such key", "cluster.nodes")]),
        ("epochs: many\nlr0: [1]", [(4, "epochs: 'many'", "whole number"), (5, "lr0: [1]", "a number")]),
    ],
)  # fmt: skip
def test_keys_are_told_all_at_once(tell: Tell, text: str, expected: list[tuple[int, str, str]]) -> None:
    told = tell(f"{GLOBAL}defaults:\n  - _self_\n{text}\n")
    assert [line for line, _, _ in told] == [line for line, _, _ in expected]
    for (_, found, instead), (_, in_found, in_instead) in zip(told, expected, strict=True):
        assert in_found in found
        assert in_instead in instead


def test_what_a_recipe_names_is_read_too(tmp_path: Path) -> None:
    for group in ("data", "experiment"):
        (tmp_path / group).mkdir()
    (tmp_path / "data" / "parts.yaml").write_text("name: parts\nsourse: parts.yaml\n")
    (tmp_path / "experiment" / "base.yaml").write_text(f"{GLOBAL}defaults:\n  - override /data: parts\nepoch: 3\n")
    (tmp_path / "experiment" / "mine.yaml").write_text(f"{GLOBAL}defaults:\n  - base\n")
    with pytest.raises(ConfigError) as raised:
        compose(["--config-dir", str(tmp_path), "experiment=mine"])
    assert [(problem.key, problem.found) for problem in raised.value.problems] == [
        (f"{tmp_path}/data/parts.yaml:2", "data.sourse: no such key"),
        (f"{tmp_path}/experiment/base.yaml:4", "epoch: no such key"),
    ]


def test_sound_values_of_a_recipe_are_not_told(tell: Tell) -> None:
    sound = ["lr0: 1e-3", "freeze: [0, 1]", "cluster: {sbatch: {partition: gpu}}", "data: {source: '${oc.env:HOME}/x'}"]
    text = "\n".join([*sound, "epoch: 1"])
    assert [found for _, found, _ in tell(f"{GLOBAL}{text}\n")] == ["epoch: no such key"]


def test_no_yaml(tell: Tell) -> None:
    ((line, found, instead),) = tell(f"{GLOBAL}epochs: 3\n\tbatch: 4\n")
    assert (line, found.partition(":")[0], instead) == (3, "no YAML", "write blanks for the tab")
    assert tell(f"{GLOBAL}epochs: [3\n")[0][2] == "write key: value lines, like epochs: 100"


def test_a_number_where_a_list_belongs(tell: Tell) -> None:
    ((line, found, instead),) = tell(f"{GLOBAL}cluster: {{gpus: 4}}\n")
    assert (line, found, instead) == (2, "cluster.gpus: 4", "write a list like [0,1] or null")


def test_a_variable_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA_ROOT", raising=False)
    (tmp_path / "experiment").mkdir()
    recipe = f"{GLOBAL}data: {{name: parts, source: '${{oc.env:DATA_ROOT}}/data.yaml'}}\n"
    (tmp_path / "experiment" / "parts.yaml").write_text(recipe)
    with pytest.raises(ConfigError) as raised:
        compose(["--config-dir", str(tmp_path), "experiment=parts"])
    (problem,) = raised.value.problems
    assert (problem.key, problem.found) == ("data.source", "the environment variable DATA_ROOT is not set here")
    assert problem.instead == "export DATA_ROOT=…, or write a default: ${oc.env:DATA_ROOT,…}"


@pytest.mark.parametrize(
    ("value", "said"),
    [("!mine 0.1", "no value: "), ("!!python/name:os.system", "no value: "), ("2024-13-45", "'2024-13-45'")],
)
def test_a_value_that_is_none_is_told_with_its_line(tell: Tell, value: str, said: str) -> None:
    (line, found, instead), *others = tell(f"{GLOBAL}epochs: 3\nlr0: {value}\nname: 2024-13-45\nepoch: 3\n")
    assert (line, instead) == (3, "write a number")
    assert found.startswith(f"lr0: {said}")
    assert [other for _, other, _ in others] == ["epoch: no such key"]


def test_a_plus_before_a_group_that_every_config_has_is_taken() -> None:
    assert compose(["+experiment=smoke"]) == compose(["experiment=smoke"])
    assert compose(["+model=yolo11n"]) == compose(["model=yolo11n"])
    assert compose(["+epochs=3", "++batch=4"]) == compose(["epochs=3", "batch=4"])
