"""Functions of a person's own, imported by their path and called on events as Ultralytics calls callbacks."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from yoloscale.config.check.callbacks import EVENTS, Callback, parse
from yoloscale.config.keys import nearest
from yoloscale.distributed.heartbeat import CALLING, HEARTBEAT
from yoloscale.errors import ConfigError, Problem

Registry = dict[str, list[Callable[[Any], None]]]
_INSTEAD_OF_EXIT = " (to end the run, evaluated and saved, set trainer.stop = True)"


class CallbackError(Exception):
    """A callback failed; the message names it, its event, and where in its own file."""


def registry(words: Sequence[str], folder: str | None) -> Registry:
    """The callbacks of a run by event, every event with a list, as Ultralytics' trainers and validators take them.

    `folder` is put in front of the places that modules are found in. Raises ConfigError with what keeps them from being
    called; an OSError of an import as it is: a file system may answer at the next start.
    """
    if reasons := problems(words, folder, passed_on=(OSError,)):
        raise ConfigError([problem for problem, _ in reasons])
    functions: Registry = {event: [] for event in EVENTS}
    for callback in parse(words)[0]:
        functions[callback.event].append(_named(callback, resolve(callback)))
    return functions


def problems(
    words: Sequence[str], folder: str | None, passed_on: tuple[type[Exception], ...] = ()
) -> list[tuple[Problem, bool]]:
    """What keeps the callbacks from being called, found by importing them.

    Each with whether that holds in any environment: of a file in `folder` that could be imported, it does. `passed_on`:
    what an import may raise and is no problem, but raised.
    """
    callbacks, malformed = parse(words)
    reasons = [(problem, True) for problem in malformed]
    if callbacks and folder is not None and folder not in sys.path:
        sys.path.insert(0, folder)
    for callback in callbacks:
        try:
            importlib.import_module(callback.module)
        except passed_on:
            raise
        except (Exception, SystemExit) as error:  # a module may call sys.exit
            reasons.append((_not_imported(callback, error, folder), False))
            continue
        try:
            problem = _not_callable(callback, resolve(callback))
        except AttributeError as error:
            problem = _no_such(callback, error)
        if problem is not None:
            file = _file(callback)
            lies_there = folder is not None and file is not None and Path(file).is_relative_to(folder)
            reasons.append((problem, lies_there))
    return reasons


def resolve(callback: Callback) -> Any:
    """The function. Raises what importing its module raises, and AttributeError if the module has no such thing."""
    thing: Any = importlib.import_module(callback.module)
    for name in callback.attribute.split("."):
        try:
            thing = getattr(thing, name)
        except AttributeError as error:
            raise AttributeError(name, name=name, obj=thing) from error
    return thing


def _file(callback: Callback) -> str | None:
    return getattr(sys.modules.get(callback.module), "__file__", None)


def _named(callback: Callback, function: Callable[[Any], Any]) -> Callable[[Any], None]:
    """The function, whose errors name it."""

    def call(instance: Any) -> None:
        with HEARTBEAT.during(CALLING):
            try:
                function(instance)
            except (Exception, SystemExit) as error:
                where = _own_line(error, callback)
                what = f"{type(error).__name__}: {error}".partition("\n")[0]  # Ultralytics' errors may be pages
                what += _INSTEAD_OF_EXIT if isinstance(error, SystemExit) else ""
                raise CallbackError(f"the callback {callback} of {callback.event} failed{where}: {what}") from error

    return call


def _own_line(error: BaseException, callback: Callback) -> str:
    """`, FILE:LINE` of the deepest line that is not of Python's import machinery or an installed package."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f", {error.filename}:{error.lineno}"
    own, frames = _file(callback), traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        is_foreign = "importlib" in frame.filename or "site-packages" in frame.filename
        if frame.filename != __file__ and (frame.filename == own or not is_foreign):
            return f", {frame.filename}:{frame.lineno}"
    return ""


def _not_imported(callback: Callback, error: BaseException, folder: str | None) -> Problem:
    reason = str(error) or type(error).__name__
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is not None and f"{callback.module}.".startswith(f"{missing}."):
        found = f"{callback}: there is no module {missing!r}"
        path = Path(folder or ".") / f"{callback.module.replace('.', '/')}.py"
        if folder is not None and not Path(folder).is_dir():  # a container has what is mounted only
            found += f", and no folder {folder} on {os.uname().nodename}"
            mounted = f"(in a container: cluster.container_mounts=[{folder}:{folder}])"
            return Problem("callbacks", found, f"mount it there {mounted}, or say where it lies: paths.code=FOLDER")
        return Problem("callbacks", found, f"write it to {path}, or say where it lies: paths.code=FOLDER")
    where = _own_line(error, callback)
    found = f"{callback} cannot be imported{where}: {type(error).__name__}: {reason}"
    return Problem("callbacks", found, "correct it there; it is imported on every rank")


def _no_such(callback: Callback, error: AttributeError) -> Problem:
    names = [name for name in dir(error.obj) if not name.startswith("_")] if error.obj is not None else []
    near = nearest(str(error.name), names)
    instead = f"did you mean {near[0]}?" if near else "write the name of a function that it has"
    return Problem("callbacks", f"{callback}: it has no {error.name!r}", instead)


def _not_callable(callback: Callback, function: Any) -> Problem | None:
    if not callable(function):
        found = f"{callback} is a {type(function).__name__}, no function"
        return Problem("callbacks", found, "name a function that takes the trainer (or, for on_val_…, the validator)")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        found = f"{callback} is a coroutine or a generator, of which a call runs nothing"
        return Problem("callbacks", found, "write a plain function: def, without async and yield")
    try:
        inspect.signature(function).bind(object())
    except TypeError:
        found = f"{callback}{inspect.signature(function)} cannot be called with one argument"
        return Problem("callbacks", found, "let it take the trainer (or, for on_val_…, the validator) and no more")
    except ValueError:  # a builtin without a signature
        return None
    return None
