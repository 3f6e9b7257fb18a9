"""Albumentations transforms of a run, from either of the two packages that bring them, seeded by the sample.

Ultralytics applies transforms of its own (Blur, CLAHE, … at 1 % each) where the package is installed and none are
given.
"""

from __future__ import annotations

import inspect
import os
import random
import warnings
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
from ultralytics.data.augment import Albumentations

from yoloscale.config.check.augmentations import KEY, SERIALISED
from yoloscale.config.keys import nearest
from yoloscale.errors import ConfigError, Problem

PACKAGES = ("albumentations", "albumentationsx")  # both are imported as `albumentations`
NONE = "no albumentations"


def installed() -> str:
    """Which package is installed, with its version, and whether it is broken."""
    for package in PACKAGES:
        try:
            found = f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
        try:
            _library()
        except Exception:
            return f"{found}, which cannot be imported"
        return found
    return NONE


def serialised(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The transforms as Ultralytics takes them in its arguments: as A.to_dict writes them.

    Raises ConfigError with every transform or argument that the installed package does not know, or where there are
    transforms and it cannot be imported.
    """
    if not items:
        return []
    try:
        library = _library()
    except Exception as error:
        if installed() == NONE:
            instead = "pip install 'yoloscale[augmentations]' (or albumentations), on every node; or leave them out"
            raise ConfigError(Problem(KEY, "the package albumentations is not installed", instead)) from error
        found = f"{installed()}: {type(error).__name__}: {error}"
        raise ConfigError(Problem(KEY, found, "install one that can be imported, or leave them out")) from error
    problems, made = list[Problem](), list[Any]()
    for item in items:
        try:
            made.append(_made(library, item))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return [library.to_dict(transform) for transform in made]


def adapt() -> None:
    """Let Ultralytics compose transforms of space with AlbumentationsX, too; call it before a data set is made.

    That has other names for two arguments, and Ultralytics leaves all transforms out, with no more than a line of
    information, if its composition fails. A package that cannot be imported is left to those who ask for it.
    """
    try:
        library = _library()
    except Exception:
        return
    for name in ("BboxParams", "KeypointParams"):
        cls = getattr(library, name)
        if inspect.isclass(cls) and "format" not in inspect.signature(cls.__init__).parameters:
            setattr(library, name, _with_format(cls))


def _with_format(cls: Any) -> Any:
    def make(*, format: str, **arguments: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of label fields, which it would swap under a reflection
            return cls(coord_format=format, **arguments)

    return make


def seed_by_sample(transforms: Any, are_given: bool) -> bool:
    """Let the Albumentations in a data set's transforms draw from the sample's seed alone.

    By itself it would draw from another one in a loader worker than in the training process (AlbumentationsX). Returns
    whether the transforms have a place for it, whether or not the package is installed. Raises ConfigError where
    `are_given`, and Ultralytics could not compose them.
    """
    found = [each for each in getattr(transforms, "transforms", ()) if isinstance(each, Albumentations)]
    for each in found:
        if each.transform is None and are_given:
            found_there = f"Ultralytics cannot compose them with {installed()}; the rank's log says why"
            raise ConfigError(Problem(KEY, found_there, "leave out what it names, or install albumentations==2.0.8"))
        if each.transform is not None and not isinstance(each.transform, _Seeded):
            each.transform = _Seeded(each.transform)
    return bool(found)


class _Seeded:
    """A composition of Albumentations whose generators start at the seed of torch's, which is the sample's.

    It has no `set_random_seed` of its own, or Ultralytics would call that.
    """

    def __init__(self, composition: Any) -> None:
        self._composition = composition

    def __call__(self, **data: Any) -> Any:
        seed = torch.initial_seed()
        if hasattr(self._composition, "set_random_state"):  # earlier ones draw from the global generators
            self._composition.set_random_state(np.random.default_rng(seed), random.Random(seed))
        made = self._composition(**data)
        for name in ("image", "mask"):  # AlbumentationsX hands out views, into which OpenCV cannot write
            if isinstance(made.get(name), np.ndarray):
                made[name] = np.ascontiguousarray(made[name])
        return made


def _library() -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would look for updates while it is imported,
    os.environ.setdefault("ALBUMENTATIONS_NO_TELEMETRY", "1")  # and AlbumentationsX would tell of each composition
    import albumentations

    return albumentations


def _made(library: Any, item: dict[str, Any]) -> Any:
    """One transform. Raises ConfigError."""
    if SERIALISED in item:
        name = str((item[SERIALISED] or {}).get("__class_fullname__"))
        return _call(name, lambda: library.from_dict(item))
    ((name, arguments),) = item.items()
    kinds = (library.BasicTransform, library.BaseCompose)
    names = [each for each, value in vars(library).items() if inspect.isclass(value) and issubclass(value, kinds)]
    if name not in names or name in ("Lambda", "Compose"):
        raise ConfigError(_unknown(name, [each for each in names if each not in ("Lambda", "Compose")]))
    cls, arguments = getattr(library, name), dict(arguments)
    known = [each for each in inspect.signature(cls.__init__).parameters if each != "self"]
    if unknown := [each for each in arguments if each not in known]:
        raise ConfigError([_no_argument(name, each, known) for each in unknown])
    if isinstance(arguments.get("transforms"), list):
        arguments["transforms"] = [_made(library, each) for each in arguments["transforms"]]
    return _call(name, lambda: cls(**arguments))


def _call(name: str, make: Any) -> Any:
    """What `make` returns; its warnings are problems, too: what is not understood is replaced by a default."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            return make()
    except Exception as error:
        said = " ".join(line.strip() for line in str(error).splitlines()[:3])
        found = f"{name}: {type(error).__name__}: {said}"
        instead = f"write what {installed()} takes; `python -c 'import albumentations as A; help(A.{name})'` shows it"
        raise ConfigError(Problem(KEY, found, instead)) from error


def _unknown(name: str, names: list[str]) -> Problem:
    near = nearest(name, names, count=3)
    why = ": a function of your own cannot be written in YAML" if name == "Lambda" else ""
    instead = f"did you mean {' or '.join(near)}?" if near and not why else "write the name of one of its transforms"
    return Problem(KEY, f"{name!r}, which is no transform of {installed()}{why}", instead)


def _no_argument(name: str, argument: str, known: list[str]) -> Problem:
    near = nearest(argument, known)
    meant = f"did you mean {near[0]}? " if near else ""
    return Problem(KEY, f"{name} of {installed()} has no argument {argument!r}", f"{meant}It has {', '.join(known)}")
