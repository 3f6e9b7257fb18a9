"""Train Ultralytics YOLO models on one process or on a thousand.

import yoloscale
run = yoloscale.train(data="coco8", model="yolo26n", epochs=3)
run.wait()
print(run.metrics, run.best)
yoloscale.predict("images/", model=run.best).wait()
print(yoloscale.val(data="coco8", model=run.best).wait().metrics)
for run in yoloscale.runs(): print(run.name, run.status().state)
yoloscale.sweep("imgsz=320,640", data="coco8", model="yolo26n").wait()
"""

from __future__ import annotations

import importlib
from os import PathLike
from types import ModuleType
from typing import TYPE_CHECKING, Any

from yoloscale import runs, sweep

if TYPE_CHECKING:
    from yoloscale.api import Run, RunFailed, Sweep, predict, train, val
    from yoloscale.errors import ConfigError

__all__ = ["ConfigError", "Run", "RunFailed", "Sweep", "predict", "runs", "sweep", "train", "val"]

_HOMES = {
    "ConfigError": "yoloscale.errors",
    "Run": "yoloscale.api",
    "RunFailed": "yoloscale.api",
    "Sweep": "yoloscale.api",
    "predict": "yoloscale.api",
    "train": "yoloscale.api",
    "val": "yoloscale.api",
}


def __getattr__(name: str) -> Any:
    """Load the API at its first use: ranks and the command line do without it."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _CallableRuns(ModuleType):
    """`yoloscale.runs` is the package that reads run directories, and `yoloscale.runs()` lists them."""

    def __call__(self, folder: str | PathLike[str] = "runs") -> Any:
        return importlib.import_module("yoloscale.api").all_runs(folder)


class _CallableSweep(ModuleType):
    """`yoloscale.sweep` is the package about many runs at once, and `yoloscale.sweep("imgsz=320,640")` starts them."""

    def __call__(self, *overrides: str, **values: Any) -> Any:
        return importlib.import_module("yoloscale.api").sweep(*overrides, **values)


runs.__class__, sweep.__class__ = _CallableRuns, _CallableSweep
