"""What the installed `yolo train` makes of what is typed: its entry point up to the call of `train`, then `get_cfg`.

A program of its own, so that the launcher's tests import no Ultralytics. A JSON list of pairs comes in: a command line,
or arguments of Python's, and a key. For each its value, or the error, goes out.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import ultralytics
from ultralytics import cfg

ERRORS = (SyntaxError, ValueError, TypeError, AssertionError, OSError)


class Captured(Exception):  # noqa: N818 - it carries the arguments out of the entry point
    """What `train` is called with."""


class Model:
    """Stands where `ultralytics.YOLO` is: nothing is loaded or trained."""

    task = "detect"

    def __init__(self, *_: object, **__: object) -> None: ...

    def train(self, **arguments: Any) -> None:
        """End the entry point."""
        raise Captured(arguments)


def arguments_of(words: list[str]) -> dict[str, Any]:
    """What a command line calls `train` with."""
    cfg.ARGV = ["yolo", "train", *words]
    try:
        cfg.entrypoint()
    except Captured as captured:
        return dict(captured.args[0])
    raise AssertionError("train was not called")


def answer(typed: list[str] | dict[str, Any], key: str) -> dict[str, Any]:
    """The value of a key, or the error, of one question."""
    try:
        given = dict(typed) if isinstance(typed, dict) else arguments_of(typed)
        return {"value": getattr(cfg.get_cfg(dict(cfg.DEFAULT_CFG_DICT), {**given, "mode": "train"}), key, None)}
    except ERRORS as error:
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    ultralytics.YOLO = Model
    sys.stdout.write("\n" + json.dumps([answer(*question) for question in json.load(sys.stdin)]) + "\n")
