"""Names and defaults of prediction and evaluation beside those of the installed Ultralytics."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

from yoloscale.config.compose.catalog import argument_defaults
from yoloscale.config.compose.refusals import WRITTEN_ELSEWHERE, foreign
from yoloscale.config.keys import known
from yoloscale.config.schema import PredictArguments, PredictConfig, ValArguments, ValConfig

ELSEWHERE = {*WRITTEN_ELSEWHERE, "name", "model"}  # ours, or rewritten by the command line
# None here: what `YOLO` takes from the checkpoint before its own default
OF_CHECKPOINT = {"predict": {"imgsz"}, "val": {"imgsz", "single_cls"}}
# what we take in place of the default of a method: images of one forward pass, which change no result
OTHERS = {"predict": {"batch": 16}, "val": {}}
ARGUMENTS = {"predict": PredictArguments, "val": ValArguments}
PAIRS = [(kind, field.name) for kind, schema in ARGUMENTS.items() for field in dataclasses.fields(schema)]


def folder() -> Path:
    spec = importlib.util.find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def defaults() -> dict[str, Any]:
    return dict(yaml.safe_load((folder() / "cfg" / "default.yaml").read_text(encoding="utf-8")))


def of_method(kind: str) -> dict[str, Any]:
    """What `YOLO.predict` or `YOLO.val`, called from Python, puts in place of the defaults: its `custom = {…}`."""
    tree = ast.parse((folder() / "engine" / "model.py").read_text(encoding="utf-8"))
    method = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == kind)
    custom = next(
        node.value
        for node in ast.walk(method)
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "custom"
    )
    assert isinstance(custom, ast.Dict)
    literals = [(key, value) for key, value in zip(custom.keys, custom.values, strict=True) if key is not None]
    read = {ast.literal_eval(key): value for key, value in literals}
    return {key: False if key == "save" else ast.literal_eval(value) for key, value in read.items()}  # save=is_cli


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_defaults_are_those_of_the_installed_ultralytics(kind: str, name: str) -> None:
    ours = {field.name: field.default for field in dataclasses.fields(ARGUMENTS[kind])}[name]
    theirs = {**defaults(), **of_method(kind)}[name]
    if name in OF_CHECKPOINT[kind] or name == "conf":
        assert ours is None
    else:
        assert ours == OTHERS[kind].get(name, theirs)
        assert type(ours) is type(theirs)


@pytest.mark.parametrize("kind", ["predict", "val"])
def test_every_argument_of_the_installed_ultralytics_is_typed_mapped_or_foreign(kind: str) -> None:
    keys, others = known(kind), foreign(kind)
    assert set(defaults()) - set(keys) - ELSEWHERE - set(others.instead) == set()
    assert not set(others.instead) & set(keys), "either ours or foreign"
    assert set(others.without_effect) <= set(others.instead), "what is taken says why it does nothing"


@pytest.mark.parametrize("kind", ["predict", "val"])
def test_nothing_is_said_of_foreign_arguments_at_the_default_of_the_installed_ultralytics(kind: str) -> None:
    without = foreign(kind).without_effect
    different = {name: value for name, value in argument_defaults().items() if name in without}
    assert {name for name, value in different.items() if without[name] != value} == set()


def test_what_ultralytics_has_for_predicting_is_a_key_of_it() -> None:
    """The section of default.yaml, but for what is a set of its own."""
    text = (folder() / "cfg" / "default.yaml").read_text(encoding="utf-8")
    section = text[text.index("# Predict settings") : text.index("# Export settings")]
    assert set(yaml.safe_load(section)) <= {field.name for field in dataclasses.fields(PredictConfig)}


@pytest.mark.parametrize("schema", [PredictConfig, ValConfig])
def test_a_key_is_there_once(schema: type) -> None:
    names = [field.name for field in dataclasses.fields(schema)]
    assert len(names) == len(set(names))
    assert {"name", "id", "model", "cluster", "logger", "debug", "paths", "origin"} <= set(names)
