from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

from yoloscale.config.compose import refusals
from yoloscale.config.keys import known
from yoloscale.config.schema.arguments import TrainArguments

MAPPED = {"task", "model", "data", "name", "device", "project"}  # ours, or rewritten by the command line


def ultralytics_defaults() -> dict[str, Any]:
    spec = importlib.util.find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    return dict(yaml.safe_load((Path(spec.origin).parent / "cfg" / "default.yaml").read_text(encoding="utf-8")))


OURS = {field.name: field.default for field in dataclasses.fields(TrainArguments)}


def test_every_argument_of_the_installed_ultralytics_is_typed_mapped_or_refused() -> None:
    assert set(ultralytics_defaults()) - set(OURS) - MAPPED - set(refusals.NOT_OURS) == set()


@pytest.mark.parametrize("name", OURS)
def test_defaults_are_those_of_the_installed_ultralytics(name: str) -> None:
    assert OURS[name] == ultralytics_defaults()[name]
    assert type(OURS[name]) is type(ultralytics_defaults()[name])


def test_refusals_name_arguments_that_exist() -> None:
    assert set(refusals.UNSUPPORTED) <= set(OURS)
    assert not set(refusals.NOT_OURS) & set(known())
    assert all(target in known() or target == "device" for target in refusals.FOREIGN_FLAGS.values())
