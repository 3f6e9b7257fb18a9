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
from functools import partial
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
            name = f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
        try:
            _library()
        except Exception:
            return f"{name}, which cannot be imported"
        return name
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
    problems, transforms = list[Problem](), list[Any]()
    for item in items:
        try:
            transforms.append(_transform(library, item))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return [library.to_dict(transform) for transform in transforms]


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
            setattr(library, name, partial(_with_format, cls))


def _with_format(cls: Any, *, format: str, **arguments: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of label fields, which it would swap under a reflection
        return cls(coord_format=format, **arguments)


def seed_by_sample(transforms: Any, are_given: bool) -> bool:
    """Let the Albumentations in a data set's transforms draw from the sample's seed alone.

    By itself it would draw from another one in a loader worker than in the training process (AlbumentationsX). Returns
    whether the transforms have a place for it, whether or not the package is installed. Raises ConfigError where
    `are_given`, and Ultralytics could not compose them.
    """
    places = [place for place in getattr(transforms, "transforms", ()) if isinstance(place, Albumentations)]
    for place in places:
        if place.transform is None and are_given:
            found = f"Ultralytics cannot compose them with {installed()}; the rank's log says why"
            raise ConfigError(Problem(KEY, found, "leave out what it names, or install albumentations==2.0.8"))
        if place.transform is not None and not isinstance(place.transform, _Seeded):
            place.transform = _Seeded(place.transform)
    return bool(places)


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
        augmented = self._composition(**data)
        for name in ("image", "mask"):  # AlbumentationsX hands out views, into which OpenCV cannot write
            if isinstance(augmented.get(name), np.ndarray):
                augmented[name] = np.ascontiguousarray(augmented[name])
        return augmented


def _library() -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would look for updates while it is imported,
    os.environ.setdefault("ALBUMENTATIONS_NO_TELEMETRY", "1")  # and AlbumentationsX would tell of each composition
    import albumentations

    return albumentations


def _transform(library: Any, item: dict[str, Any]) -> Any:
    if SERIALISED in item:
        name = str((item[SERIALISED] or {}).get("__class_fullname__"))
        return _call(name, lambda: library.from_dict(item))
    ((name, arguments),) = item.items()
    kinds = (library.BasicTransform, library.BaseCompose)
    everything = vars(library).items()
    classes = {key: value for key, value in everything if inspect.isclass(value) and issubclass(value, kinds)}
    names = [key for key in classes if key not in ("Lambda", "Compose")]
    if name not in names:
        raise ConfigError(_unknown(name, names))
    cls, arguments = classes[name], dict(arguments)
    parameters = [parameter for parameter in inspect.signature(cls.__init__).parameters if parameter != "self"]
    if unknown := [argument for argument in arguments if argument not in parameters]:
        raise ConfigError([_no_argument(name, argument, parameters) for argument in unknown])
    if isinstance(arguments.get("transforms"), list):
        arguments["transforms"] = [_transform(library, inner) for inner in arguments["transforms"]]
    return _call(name, lambda: cls(**arguments))


def _call(name: str, make: Any) -> Any:
    """What `make` returns; its warnings are problems, too: what is not understood is replaced by a default."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            return make()
    except Exception as error:
        reason = " ".join(line.strip() for line in str(error).splitlines()[:3])
        found = f"{name}: {type(error).__name__}: {reason}"
        instead = f"write what {installed()} takes; `python -c 'import albumentations as A; help(A.{name})'` shows it"
        raise ConfigError(Problem(KEY, found, instead)) from error


def _unknown(name: str, names: list[str]) -> Problem:
    near = nearest(name, names, count=3)
    why = ": a function of your own cannot be written in YAML" if name == "Lambda" else ""
    instead = f"did you mean {' or '.join(near)}?" if near and not why else "write the name of one of its transforms"
    return Problem(KEY, f"{name!r}, which is no transform of {installed()}{why}", instead)


def _no_argument(name: str, argument: str, names: list[str]) -> Problem:
    near = nearest(argument, names)
    meant = f"did you mean {near[0]}? " if near else ""
    return Problem(KEY, f"{name} of {installed()} has no argument {argument!r}", f"{meant}It has {', '.join(names)}")
