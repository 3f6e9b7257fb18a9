"""On PYTHONPATH: in all processes that a test starts, a prediction is hindered, by an image or by a file.

An image of one shape raises, each time it is predicted. While the file that HELD_BY names is there, no unit is begun
once as many parts as it says are there.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

POISONED = (40, 99)  # height and width of the image
HELD_BY = "TESTS_HELD_BY"


def poison(module: Any) -> None:
    forward = module.Predictor.forward

    def raising(predictor: Any, images: Any) -> Any:
        if any((image.height, image.width) == POISONED for image in images):
            raise ValueError("the image is a teapot")
        return forward(predictor, images)

    module.Predictor.forward = raising


def hold(module: Any) -> None:
    begin = module.Claims.next

    def held(claims: Any) -> Any:
        with suppress(FileNotFoundError, ValueError):
            if len(claims._done()) >= int(Path(os.environ[HELD_BY]).read_text()):
                return None
        return begin(claims)

    module.Claims.next = held


class Hindrance:
    """Finds modules as they always are, and changes them once loaded: importing one here would import torch."""

    def __init__(self, changes: dict[str, Callable[[Any], None]]) -> None:
        self.changes = changes

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        change = self.changes.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        assert spec is not None
        loader: Any = spec.loader
        load = loader.exec_module

        def hindered(module: Any) -> None:
            load(module)
            change(module)

        loader.exec_module = hindered
        return spec


CHANGES = {"yoloscale.yolo.inference.predictor": poison}
if HELD_BY in os.environ:
    CHANGES["yoloscale.predictions.claims"] = hold
sys.meta_path.insert(0, Hindrance(CHANGES))  # type: ignore[arg-type]
