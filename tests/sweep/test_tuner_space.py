"""The preset of Ultralytics' tuner says what the installed tuner does."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from yoloscale.config.check.effects import without_effect
from yoloscale.config.locations import configs_folder
from yoloscale.config.schema import Config, ModelConfig, Task


def installed_space() -> dict[str, tuple[float, ...]]:
    """The default of the tuner's `space`, read in its source: to make a tuner makes folders."""
    spec = importlib.util.find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse((Path(spec.origin).parent / "engine" / "tuner.py").read_text(encoding="utf-8"))
    [found] = [
        node.values[-1]
        for node in ast.walk(tree)
        if isinstance(node, ast.BoolOp) and 'args.pop("space", None)' in ast.unparse(node).replace("'", '"')
    ]
    space: dict[str, tuple[float, ...]] = ast.literal_eval(found)
    return space


def interval(text: str) -> tuple[float, float]:
    value: Any = OverridesParser.create().parse_override(f"key={text}").value()
    return value.start, value.end


@pytest.mark.parametrize(("preset", "task"), [("ultralytics_tuner", "detect"), ("ultralytics_tuner_cls", "classify")])
def test_the_space_of_the_preset_is_that_of_the_installed_tuner(preset: str, task: str) -> None:
    """Less what has no effect in that task, with the optimizer of the preset."""
    read = yaml.safe_load((configs_folder() / "sweep" / f"{preset}.yaml").read_text(encoding="utf-8"))
    intervals = {key: interval(text) for key, text in read["params"].items() if "interval" in str(text)}
    config = Config(optimizer=read["params"]["optimizer"], model=ModelConfig(task=Task(task)))
    inert = without_effect(config)
    assert intervals == {key: limits[:2] for key, limits in installed_space().items() if key not in inert}
    assert len(intervals) > 7
