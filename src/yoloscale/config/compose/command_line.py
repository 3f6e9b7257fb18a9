"""What a `yolo` user types, as overrides in Hydra's grammar. Pure: arguments in, overrides out."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from yoloscale.config.check.gpus import repetition_problems
from yoloscale.config.compose import choices
from yoloscale.config.compose.catalog import Catalog, argument_defaults
from yoloscale.config.compose.each_dataset import elements
from yoloscale.config.compose.refusals import WRITTEN_ELSEWHERE, advice, foreign, remark
from yoloscale.config.compose.words import arguments_in, file_of
from yoloscale.config.keys import FREE, LIST_LIKE, describe, is_group, is_text, known, members, nearest, nearest_keys
from yoloscale.config.kinds import KINDS, TRAIN
from yoloscale.config.quoting import is_quoted, literal, quote, quote_text, unquote, without_interpolation
from yoloscale.config.schema import Task
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.remarks import Say, silent

_PLUGINS = ("hydra/sweeper", "hydra/launcher", "hydra.sweeper", "hydra.launcher")
_BARE_PARENTHESIS = re.compile(r"(?<!\\)([()])")
_TYPED_KEY = re.compile(r"cluster\.\w+\.[A-Za-z_][A-Za-z0-9_-]*")
_INTERPOLATION = re.compile(r"\$\{\s*(?:oc\.\w+:|hydra[.:]|([\w.]+)\s*\})")


def rewrite(arguments: Iterable[str], catalog: Catalog, say: Say = silent) -> tuple[list[str], list[Problem]]:
    """Turn arguments, as `words` returns them, into overrides that Hydra understands, and problems where there is none.

    `say` gets a line for each that is taken and does nothing, or other than it seems.
    """
    overrides, problems = list[str](), list[Problem]()
    for argument in arguments:
        try:
            overrides += _rewrite_one(argument, catalog, say)
        except ConfigError as error:
            problems += error.problems
    return overrides, problems


def _rewrite_one(token: str, catalog: Catalog, say: Say) -> list[str]:
    kind = catalog.kind
    if token.startswith("~"):
        name = token[1:].partition("=")[0]
        if name in known(kind) and not is_group(name, kind):
            instead = f"write {name}=… ({describe(name, kind)})"
            raise ConfigError(Problem(token, "a key of the schema cannot be removed", instead))
        return [token]
    key, equals, value = token.partition("=")
    if not equals:
        return _bare_word(token, kind)
    key, value = key.strip(), value.strip()
    name = key.lstrip("+").partition("@")[0]
    if (special := _SPECIAL.get(name)) and (name in known(kind) or name in WRITTEN_ELSEWHERE):
        return special(value, catalog)
    if name == "cfg" and (file := file_of(token)):
        arguments_in(file, kind)  # raises: `words` puts the arguments of a file that can be read in its place
    if name in foreign(kind).instead:
        _say_remark(name, value, say, kind)
        return []
    if name.startswith(_PLUGINS) and not name.startswith("hydra.sweeper.params"):
        instead = "write sweep=tpe, or another of the sweep group: a search, with its settings below sweep.search"
        if kind != TRAIN:
            instead = f"leave it out: {KINDS[kind].verb} has no sweeps"
        if "launcher" in name:
            instead = "write cluster=local or cluster=slurm: it says where the points of a sweep run"
        raise ConfigError(Problem(name, f"{value!r}: Hydra's plugins start nothing here", instead))
    if name == "hydra" or name.startswith(("hydra.", "hydra/")):
        return [token]
    if name in catalog.groups and "." not in name:
        key = key.lstrip("+") if name in catalog.shipped else key  # it is in every config, to be replaced
        if _is_none(unquote(value)) and catalog.option(name, unquote(value)) is None:  # logger=none is one
            return _no_choice(name, catalog)
        return [f"{key}={_group_choice(name, value, catalog)}"]
    if name.startswith("sweep.params.") and kind == TRAIN:
        raise ConfigError(Problem(name, "values to sweep over, without -m", "write yoloscale train -m …"))
    if name.startswith(FREE):
        if not _TYPED_KEY.fullmatch(name):
            instead = "write a key of letters, digits, _ and -, not starting with a digit"
            raise ConfigError(Problem(name, "no such key", instead))
        return [f"++{name}={_text(value)}"]
    if name not in known(kind):
        return _of_another_release(name, value, kind)
    if name == "imgsz" and literal(value) is None:
        return []  # the task's own
    if not key.startswith("++"):
        key = key.removeprefix("+")  # every config has it, to be replaced
    return [f"{key}={_value(name, value, say, kind)}"]


def _of_another_release(name: str, value: str, kind: str) -> list[str]:
    """An argument that the installed Ultralytics has and this version does not know: dropped at its default."""
    defaults = argument_defaults()
    if name not in defaults:
        raise ConfigError(unknown_key(name, kind))
    if literal(value) == defaults[name]:
        return []
    found = f"{value}, an argument of the installed Ultralytics that yoloscale does not know yet"
    raise ConfigError(Problem(name, found, f"leave it out: it is at {defaults[name]} then"))


def unknown_key(name: str, kind: str = TRAIN) -> Problem:
    """The problem of a key that is not in the schema, with the nearest that is."""
    if hint := advice(name, kind):
        return Problem(name, "no key of the schema", hint)
    candidates = [key for key in known(kind) if not is_group(key, kind) or "." not in key]
    recipes = ["experiment"] if kind == TRAIN else []
    return Problem(name, "no such key", nearest_keys(name, [*candidates, *recipes], kind))


def _bare_word(word: str, kind: str) -> list[str]:
    if word in known(kind):
        raise ConfigError(Problem(word, "a key without a value", f"write {word}=… ({describe(word, kind)})"))
    if word in foreign(kind).instead:
        raise ConfigError(Problem(word, "a key without a value", str(advice(word, kind))))
    free = f"write {word}=VALUE, and true where there is none" if word.startswith(FREE) else None
    raise ConfigError(Problem(word, "an argument without `=`", free or unknown_key(word, kind).instead))


def _say_remark(name: str, value: str, say: Say, kind: str = TRAIN) -> None:
    if line := remark(name, literal(value), kind):
        say(line)


def _no_choice(group: str, catalog: Catalog) -> list[str]:
    """A recipe may be none, which Hydra does not take when it is typed; what every config has may not."""
    if group == "experiment":
        return []
    instead = f"leave it out, or write one of: {', '.join(catalog.groups[group])}"
    raise ConfigError(Problem(group, "none of the group", instead))


def _group_choice(group: str, value: str, catalog: Catalog) -> str:
    value = unquote(value)
    if value.startswith("{"):
        return value
    words = [word.strip() for word in value.strip("[]").split(",")]
    for word in words:
        if catalog.option(group, word.removesuffix(".yaml")) is None:
            options = catalog.groups[group]
            near = nearest(word, options)
            instead = f"did you mean {group}={near[0]}? " if near else ""
            instead += f"there are {', '.join(options)}"
            path = Path(word)
            if len(path.parts) > 2 and path.parts[-2] == group:
                instead = f"write --config-dir {path.parents[1]} {group}={path.name.removesuffix('.yaml')}"
            raise ConfigError(Problem(group, f"{word!r}: there is no {group} of this name", instead))
    return f"[{','.join(words)}]" if len(words) > 1 or value.startswith("[") else value


def _value(name: str, value: str, say: Say, kind: str) -> str:
    """The value in Hydra's grammar, by the type of its key."""
    hint = known(kind)[name]
    if name in ("cluster.export", "callbacks") and value.lower() not in ("none", "null"):
        words = [unquote(word.strip()) for word in value.strip("[]()").split(",")]
        return f"[{','.join(quote_text(word) for word in words if word)}]"  # also what is no name: it is told later
    if name == "source":
        return _sources(value)
    if special := (_OF_INFERENCE.get(kind) or _BY_NAME).get(name):
        value = special(value, say)
    if value.lower() == "false" and _is_counted(name, kind):
        value = "0"
    elif value.lower() == "true" and _is_counted(name, kind):
        say(f"{name}={value} counts as {name}=1, as for `yolo {kind}`")
        value = "1"
    if name in LIST_LIKE:
        return _list_like(value, always=any(typing.get_origin(member) is list for member in members(hint)))
    if value.lower() in ("none", "null"):
        return "null"
    if bool in members(hint) and value.lower() in ("true", "false"):
        return value.lower()
    if not is_text(name, kind):
        value = value.removesuffix(",")
    if int in members(hint) and float not in members(hint):
        return _whole_number(value)
    return _text(value, kind) if is_text(name, kind) and int not in members(hint) else value


def _is_counted(name: str, kind: str) -> bool:
    """Whether True and False are numbers to `yolo` where they stand for this argument."""
    kinds = set(members(known(kind)[name]))
    is_number = not kinds.isdisjoint((int, float)) and bool not in kinds
    return name in ("scale", "freeze") or (is_number and "." not in name and name != "imgsz")


def _sources(value: str) -> str:
    """Several sources in brackets, or with commas between them unless there is a file of this very name."""
    if is_quoted(value) or Path(value).exists():
        sources = [unquote(value)]
    else:
        listed = elements(value)
        sources = [unquote(word.strip()) for word in value.split(",")] if listed is None else listed
    return quote([source for source in sources if source])


def _imgsz(value: str, say: Say, process: str = "training") -> str:
    size = literal(value)
    if not isinstance(size, (list, tuple)) or not size or not all(type(side) is int for side in size):
        return value
    if len(size) > 1:
        command = "train" if process == "training" else "val"
        say(f"imgsz={value}: {process} takes squares, of the larger side, as `yolo {command}` does: imgsz={max(size)}")
    return str(max(size))


def _quantize(value: str, say: Say) -> str:
    _say_remark("quantize", value, say)
    return value


def _unless_none(otherwise: str) -> Callable[[str, Say], str]:
    return lambda value, say: otherwise if literal(value) is None else value


def _whole(value: str, say: Say) -> str:
    """`fraction=1` is all, however it is written."""
    return "1.0" if repr(literal(value)) == "1" else value


def _multi_scale(value: str, say: Say) -> str:
    if literal(value) is not True:
        return value
    say("multi_scale=True is multi_scale=1.0, as for `yolo train`: up to twice imgsz; older releases meant 0.5 by it")
    return "1.0"


_BY_NAME: dict[str, Callable[[str, Say], str]] = {
    "imgsz": _imgsz,
    "quantize": _quantize,
    "time": lambda value, say: (
        "null" if literal(value) in (0, False) else value
    ),  # no hours are no limit, as for `yolo`
    "multi_scale": _multi_scale,
    "cache": _unless_none("false"),
    "pretrained": _unless_none("true"),
    "fraction": _whole,
    "amp": lambda value, say: value.lower(),
}


def _rectangle(value: str, say: Say) -> str:
    """`imgsz=480,640`, height and width, as a list."""
    size = literal(value)
    return quote(list(size)) if isinstance(size, (list, tuple)) else value


_OF_INFERENCE: dict[str, dict[str, Callable[[str, Say], str]]] = {
    "predict": {"imgsz": _rectangle},
    "val": {"cache": _unless_none("false"), "imgsz": partial(_imgsz, process="validation"), "fraction": _whole},
}


def _list_like(value: str, *, always: bool) -> str:
    """`0,2`, `(0,2)` and `[0,2]` are one list; with `always`, `0` is one too."""
    if value.lower() in ("none", "null"):
        return "null"
    value = value.removesuffix(",") if value[-2:] in ("],", "),") else value
    if value[:1] + value[-1:] in ("()", "[]"):
        value = f"[{value[1:-1].rstrip(', ')}]"
    wrap = value != "" and value[0] not in "['\"$" and (always or "," in value)
    return f"[{value.strip(',')}]" if wrap else value


def _whole_number(value: str) -> str:
    """`1e2` is 100, as for `yolo`; digits stay, which a float would round; so does anything else."""
    try:
        return str(int(value))
    except ValueError:
        pass
    try:
        number = float(value)
    except ValueError:
        return value
    return str(int(number)) if number.is_integer() else value


def _text(value: str, kind: str = TRAIN) -> str:
    """Text is data: quoted for Hydra, unless the person quoted it already. `${key}` of the schema is looked up."""
    if is_quoted(value):
        return value
    interpolates = [match[1] is None or match[1] in known(kind) for match in _INTERPOLATION.finditer(value)]
    return quote_text(value if any(interpolates) else without_interpolation(value))


def _device(value: str, _: Catalog) -> list[str]:
    """Ultralytics' `device=`: a list of GPUs of this machine, one rank each; or the CPU."""
    word = unquote(value).lower().strip()
    kinds = {"": "auto", "none": "auto", "null": "auto", "auto": "auto", "cpu": "cpu", "cuda": "cuda", "gpu": "cuda"}
    if word in kinds:
        return [f"cluster.device={kinds[word]}"]
    gpus = [
        part.strip().removeprefix("cuda:") for part in re.sub(r"[\[\]()'\"\s]", "", word).split(",") if part.strip()
    ]
    if not gpus or not all(gpu.isdigit() for gpu in gpus):
        why = ""
        if word.startswith(("-1", "[-1")):
            why = ": idle GPUs are not searched for, as two jobs would find the same"
        elif word.startswith(("mps", "npu", "xpu", "tpu")):
            why = ": ranks compute on CUDA GPUs or CPUs"
        raise ConfigError(Problem("device", f"{word!r}{why}", "write device=0,1 (GPU numbers) or device=cpu"))
    if problems := repetition_problems("device", repr(word), gpus):
        raise ConfigError(problems)
    indices = ",".join(str(int(gpu)) for gpu in gpus)
    return ["cluster.device=cuda", f"cluster.gpus=[{indices}]", f"cluster.procs_per_node={len(gpus)}"]


def _task(value: str, _: Catalog) -> list[str]:
    word = unquote(value)
    if word.lower() in ("none", "null"):
        return []  # the model's own
    if word not in Task.__members__:
        raise ConfigError(Problem("task", f"{word!r}", f"one of {', '.join(Task.__members__)}"))
    return [f"model.task={word}"]


def _choice(resolve: Callable[[str, Catalog], list[str]]) -> Callable[[str, Catalog], list[str]]:
    def rewrite_choice(value: str, catalog: Catalog) -> list[str]:
        word = unquote(value)
        return [] if word.lower() in ("none", "null") else resolve(word, catalog)

    return rewrite_choice


def _is_none(value: str) -> bool:
    return value.lower() in ("", "none", "null")


def _augmentations(value: str, _: Catalog) -> list[str]:
    """A file's name is text; a list in Hydra's grammar, or null, is taken as it is."""
    as_it_is = value.startswith(("[", "{")) or value.lower() in ("null", "none")
    return [f"augmentations={value.replace('None', 'null') if as_it_is else _text(value)}"]


_SPECIAL: dict[str, Callable[[str, Catalog], list[str]]] = {
    "model": _choice(choices.model),
    "data": _choice(choices.data),
    "device": _device,
    "project": lambda value, catalog: [] if _is_none(value) else [f"paths.runs={_text(value)}"],
    "task": _task,
    "name": lambda value, catalog: ["name=null" if _is_none(value) else f"name={_text(value)}"],
    "augmentations": _augmentations,
    # metrics have parentheses in their names, which Hydra takes with a backslash before them only
    "sweep.search.objectives": lambda value, catalog: [
        "++sweep.search.objectives=" + _BARE_PARENTHESIS.sub(r"\\\1", value)
    ],
}
