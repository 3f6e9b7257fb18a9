"""What a `yolo` user types, as a list of arguments that each stand for themselves: one a key, in today's spelling.

Here is what takes more than one argument to see: `key = value` in several words, the arguments of a file (`cfg=FILE`),
keys given twice, and old spellings that give way to new ones. `command_line` reads each argument by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from yoloscale.config.compose.catalog import read_catalog
from yoloscale.config.compose.refusals import NOT_OURS, WRITTEN_ELSEWHERE, foreign
from yoloscale.config.keys import LIST_LIKE, known, members
from yoloscale.config.kinds import TRAIN
from yoloscale.config.locations import configs_folder
from yoloscale.config.quoting import literal, quote, unquote
from yoloscale.config.schema import Task
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.formatting import yaml_cure

_OF_YOLO_ONLY = frozenset({"task", "mode", "device", "project", *NOT_OURS})  # keys that no recipe of Hydra's has
_BARE = frozenset({"half", "int8", "end2end", "exist_ok"})
_OURS = frozenset(  # keys at the root that `yolo` does not know
    {*("augmentations", "callbacks", "id", "cluster", "checkpoint", "logger", "debug", "paths", "sweep", "trial")}
    | {"predict"}
)
_KEY = re.compile(r"[A-Za-z_]\w*")
_FLAG = re.compile(r"-(?![\d.]|(?:inf|nan)\b)")


@cache
def arguments_of_yolo(kind: str = TRAIN) -> frozenset[str]:
    """Names that `yolo`'s command has, or had, and that are understood here; none has a dot in it."""
    own = {key for key, hint in known(kind).items() if "." not in key} - _OURS
    return frozenset(own | {"name", "model"} | set(foreign(kind).instead) | set(WRITTEN_ELSEWHERE))


@cache
def switches(kind: str = TRAIN) -> frozenset[str]:
    """Arguments that mean true where they stand without a value."""
    own = {key for key, hint in known(kind).items() if bool in members(hint) and "." not in key}
    return frozenset(own | _BARE | {key for key, value in foreign(kind).without_effect.items() if value is False})


def is_flat(file: Path) -> bool:
    """Whether Hydra could not compose this recipe, as it holds the flat keys of `yolo`."""
    try:
        content = _mapping(file)
    except ConfigError:
        return False  # Hydra tells
    texts = [key for key in ("model", "data") if isinstance(content.get(key), str)]
    return "defaults" not in content and bool(texts or _OF_YOLO_ONLY & content.keys())


def words(
    tokens: Sequence[str],
    folders: Sequence[Path] = (),
    is_flat: Callable[[Path], bool] = is_flat,
    kind: str = TRAIN,
) -> list[str]:
    """Arguments with those of the files that they name, each key once, in today's spelling.

    What cannot be read is left as it was typed, for `command_line.rewrite` to tell. Doing it twice changes nothing.

    Args:
        tokens: what was typed, without flags.
        folders: where recipes are looked for: `experiment=NAME` that is a flat file of `yolo`'s is read like `cfg=`.
        is_flat: tells such a recipe; who reads many command lines remembers what it has told.
        kind: of the run that they are typed for.
    """
    typed = [_spelled(token, kind) for token in join_equals(tokens)]
    files, rest = list[list[str]](), list[str]()
    for token in typed:
        file = file_of(token, folders, is_flat)
        try:
            opened = None if file is None else arguments_in(file, kind)
        except ConfigError:
            opened = None
        if opened is None:
            rest.append(token)
        else:
            files.insert(0, opened)  # of two files the first wins, as for `yolo`
    from_files = [token for opened in files for token in opened]
    if any(_name(token) == "model" for token in rest):  # task, and resume as Ultralytics writes it, are of another one
        resumes = [token for token in from_files if _name(token) == "resume" and unquote(_value(token)).endswith(".pt")]
        from_files = [token for token in from_files if _name(token) != "task" and token not in resumes]
    return _task_behind_model(_last_of_each(_renamed(_last_of_each([*from_files, *rest], kind)), kind))


def join_equals(tokens: Iterable[str]) -> list[str]:
    """`epochs = 5`, `epochs= 5` and `epochs =5` are one argument, as for `yolo`; so is `freeze=[0, 1]` in two words.

    A flag, like the `-m` behind `project=`, is nobody's value; a negative number is one.
    """
    joined, waiting = list[str](), list(tokens)
    while waiting:
        token = waiting.pop(0)
        has_value = bool(waiting) and not _FLAG.match(waiting[0])
        if token == "=" and joined and has_value:
            token = f"{joined.pop()}={waiting.pop(0)}"
        elif _KEY.fullmatch(token[:-1]) and token.endswith("=") and has_value and "=" not in waiting[0]:
            token += waiting.pop(0)
        elif token.startswith("=") and joined and "=" not in joined[-1]:
            token = joined.pop() + token
        if "=[" in token and (count := _rest_of_list(token, waiting)):
            token = "".join([token, *waiting[:count]])
            del waiting[:count]
        joined.append(token)
    return joined


def _rest_of_list(token: str, following: Sequence[str]) -> int:
    """How many of the following words close the brackets of this one; 0 where they are closed, or never are."""
    depth = token.count("[") - token.count("]")
    if depth <= 0:
        return 0
    for count, word in enumerate(following, start=1):
        depth += word.count("[") - word.count("]")
        if depth == 0:
            return count
        if "=" in word:
            return 0
    return 0


def _spelled(token: str, kind: str = TRAIN) -> str:
    """One argument without the comma that a list in Python leaves behind it, switches and tasks with their values."""
    key, equals, value = token.partition("=")
    name = key.strip().rstrip(",")
    if not equals:
        if name in switches(kind):
            return f"{name}=true"
        return f"task={name}" if name in Task.__members__ else f"mode={kind}" if name == kind else token
    if name in arguments_of_yolo(kind):
        value = value.strip()
        is_list = name in LIST_LIKE and "," in value[:-1]  # there the comma says so
        return f"{name}={value if is_list else value.removesuffix(',')}"
    return token


def _name(token: str) -> str:
    return token.partition("=")[0].strip()


def _value(token: str) -> str:
    return token.partition("=")[2].strip()


def _last_of_each(tokens: Iterable[str], kind: str) -> list[str]:
    """Of an argument of `yolo` that is there twice the last counts, for it may stand for several keys of the schema."""
    kept = dict[str, str]()
    for number, token in enumerate(tokens):
        name = _name(token)
        slot = name if "=" in token and name in arguments_of_yolo(kind) else f"{number} {token}"
        kept[slot] = token
    return list(kept.values())


def _task_behind_model(tokens: list[str]) -> list[str]:
    """The task that is typed counts wherever it stands: a model, read later, would say its own or none."""
    model = next((number for number, token in enumerate(tokens) if _name(token) == "model"), 0)
    before, behind = tokens[:model], tokens[model:]
    tasks = [token for token in before if _name(token) in ("task", "model.task")]
    return [*(token for token in before if token not in tasks), *behind[:1], *tasks, *behind[1:]]


def _renamed(tokens: list[str]) -> list[str]:
    """Old spellings as Ultralytics reads them today, and `save_dir` as the folder and the name that it stands for."""
    values = {_name(token): literal(token.partition("=")[2]) for token in tokens if "=" in token}
    is_placed = any(values.get(key) is not None for key in ("name", "project"))
    renamed = list[str]()
    for token in tokens:
        name = _name(token)
        value = values.get(name)
        if name in ("half", "int8"):
            is_on = {key: str(values.get(key)).lower() not in ("none", "false", "0") for key in ("int8", "half")}
            bits = "8" if is_on["int8"] else "16" if is_on["half"] else "null"
            renamed += [] if "quantize" in values else [f"quantize={bits}"]
        elif name == "end2end" and isinstance(value, bool):
            renamed += ["nms=false"] if value else [] if values.get("nms") is True else ["nms=null"]
        elif name == "save_dir" and value is not None and not is_placed:
            folder = Path(str(value))
            renamed += [f"project={quote(folder.parent)}", f"name={quote(folder.name)}"]
        else:
            renamed.append(token)
    return list(dict.fromkeys(reversed(renamed)))[::-1]  # of what is there twice the last counts


def file_of(token: str, folders: Sequence[Path] = (), is_flat: Callable[[Path], bool] = is_flat) -> Path | None:
    """The file of `yolo`'s arguments that an argument names; None if it names none."""
    name, value = _name(token).lstrip("+"), unquote(_value(token))
    if name == "cfg" and literal(value) is not None:
        return Path(value).expanduser()
    if name == "experiment" and "/" not in value:
        files = [folder / "experiment" / f"{value.removesuffix('.yaml')}.yaml" for folder in folders]
        return next((file for file in files if file.is_file() and is_flat(file)), None)
    return None


def arguments_in(file: Path, kind: str = TRAIN) -> list[str]:
    """The arguments of a YAML file of `yolo`'s, as they would be typed. Raises ConfigError if it cannot be read."""
    content = {key: None if value == "None" else value for key, value in _mapping(file, kind).items()}
    return [_spelled(token, kind) for token in from_values(content) if _name(token) != "cfg"]


def places_of(tokens: Sequence[str], folders: Sequence[Path] = (), kind: str = TRAIN) -> dict[str, str]:
    """`FILE:LINE` of each argument that comes from a file that the tokens name, and is not typed beside it."""
    typed = [_spelled(token, kind) for token in join_equals(tokens)]
    places = dict[str, str]()
    for file in reversed([file for token in typed if (file := file_of(token, folders)) is not None]):
        try:
            root = yaml.compose(file.read_text(encoding="utf-8-sig", errors="replace"), Loader=yaml.SafeLoader)
        except (OSError, yaml.YAMLError):
            continue  # told by `arguments_in`
        for key, _ in root.value if isinstance(root, yaml.MappingNode) else ():
            places[str(key.value)] = f"{file}:{key.start_mark.line + 1}"
    return {name: place for name, place in places.items() if name not in map(_name, typed)}


def _mapping(file: Path, kind: str = TRAIN) -> dict[str, Any]:
    example = "lr0: 0.01" if kind == TRAIN else "iou: 0.6"
    instead = f"write cfg=path/to/arguments.yaml, a YAML file of arguments of `yolo {kind}` like {example}"
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8-sig", errors="replace"))
    except OSError as error:
        found = f"{str(file)!r}: {error.strerror}" if file.exists() else f"{str(file)!r}: there is no such file"
        raise ConfigError(Problem("cfg", found, instead)) from None
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        reason = getattr(error, "problem", None) or "cannot be read"
        raise ConfigError(Problem("cfg", f"{file}:{line}: no YAML: {reason}", yaml_cure(reason))) from None
    except ValueError as error:  # a date of a 13th month
        raise ConfigError(Problem("cfg", f"{str(file)!r}: no YAML: {error}", "write text in quotes")) from None
    if content is not None and not isinstance(content, dict):
        raise ConfigError(Problem("cfg", f"{str(file)!r}: no keys with values", instead))
    return {str(key): value for key, value in (content or {}).items()}


def from_values(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Python values as arguments that give the same values back; keys below others by their dotted names."""
    arguments = list[str]()
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            arguments += from_values(value, f"{key}.")
        else:
            is_choice = isinstance(value, str) and key in _groups() and key not in ("model", "data")
            arguments.append(f"{key}={value if is_choice else quote(value)}")
    return arguments


@cache
def _groups() -> frozenset[str]:
    return frozenset(read_catalog([configs_folder()]).groups)
