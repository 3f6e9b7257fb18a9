"""What a `.pt` file says about itself, read without torch and without running anything that is in it."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yoloscale.config.schema import Task
from yoloscale.datasets.file_kinds import COPY_AGAIN, other_file, read_head
from yoloscale.datasets.weights_globals import is_known
from yoloscale.errors import ConfigError, Problem

_LARGEST_PICKLE_BYTES = 256 << 20  # the pickle holds the structure; the numbers lie in other members of the archive
_PLAIN = {
    "collections.OrderedDict": OrderedDict,
    **dict.fromkeys(("builtins.set", "__builtin__.set"), set),
    **dict.fromkeys(("builtins.frozenset", "__builtin__.frozenset"), frozenset),
}
_OTHER_WEIGHTS = {
    b"\x80": "a pickle: torch before 1.6 saved so; with that model's code, load it and torch.save it again",
    b"\x89HDF": "an HDF5 file (Keras), not weights of torch",
    b"\x1f\x8b": "compressed by gzip: unpack it",
    b"{": "a file of safetensors: weights without their network",  # after eight bytes of length
}
_TASK_OF_CLASS = {model: task for task in Task for model in task.row.models}


@dataclass(frozen=True)
class WeightsFile:
    """An Ultralytics checkpoint as its structure describes it; `None` and empty where the file does not say."""

    path: Path
    task: Task | None
    model_class: str  # full name; tells RT-DETR from YOLO
    names: dict[int, str]  # classes
    architecture: dict[str, Any]  # Ultralytics' model YAML
    foreign_globals: tuple[str, ...]  # names that Ultralytics' safe loading refuses: loading them runs foreign code
    date: str | None
    epoch: int | None  # last one trained, from 0; None once training has ended
    version: str | None  # of Ultralytics
    arguments: dict[str, Any] = field(default_factory=dict)  # of its training


def inspect(path: Path) -> WeightsFile:
    """Read a `.pt` file. Raises ConfigError if it is absent or no Ultralytics model."""
    reader = _InertUnpickler(io.BytesIO(_read_pickle(path)))
    try:
        content = reader.load()
    except Exception as error:  # a pickle made to break readers may raise anything
        raise _refused(path, f"has a damaged structure ({type(error).__name__}: {error})") from error
    if not isinstance(content, dict):
        raise _refused(path, f"holds a {_kind(content)}, not an Ultralytics checkpoint")
    model = content.get("ema") or content.get("model")
    if not isinstance(model, _Stub):
        found = "is a state dict: weights without their network" if _is_state_dict(content) else "holds no model"
        raise _refused(path, found)
    state = model.state
    names = state.get("names")
    pairs = enumerate(names) if isinstance(names, (list, tuple)) else names.items() if isinstance(names, dict) else ()
    arguments = content.get("train_args")
    return WeightsFile(
        path=path,
        model_class=type(model).full_name,
        task=_task(model, arguments if isinstance(arguments, dict) else {}),
        names={int(key): str(name) for key, name in pairs if isinstance(key, int) or str(key).isdigit()},
        architecture=_plain(state["yaml"]) if isinstance(state.get("yaml"), dict) else {},
        foreign_globals=tuple(sorted(name for name in reader.seen if not is_known(name))),
        date=_of_type(content.get("date"), str),
        epoch=epoch if (epoch := _of_type(content.get("epoch"), int)) is not None and epoch >= 0 else None,
        version=_of_type(content.get("version"), str),
        arguments=_plain(arguments) if isinstance(arguments, dict) else {},
    )


def _read_pickle(path: Path) -> bytes:
    """The structure of a torch archive: its member `*/data.pkl`."""
    if not path.is_file():
        instead = "write a released name (yolo26n) or a path to a .pt file"
        raise ConfigError(Problem("model", f"no file {path}", instead))
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename.rpartition("/")[2]: member for member in archive.infolist()}
            if "constants.pkl" in members:
                instead = "write the .pt file it was exported from"
                raise ConfigError(Problem("model", f"{path} is a TorchScript archive: it cannot be trained", instead))
            if "data.pkl" not in members:
                raise _refused(path, "is an archive, but not one that torch.save wrote")
            if members["data.pkl"].file_size > _LARGEST_PICKLE_BYTES:
                raise _refused(path, f"has a structure of {members['data.pkl'].file_size} bytes")
            return archive.read(members["data.pkl"])
    except zipfile.BadZipFile as error:
        raise _no_archive(path) from error
    except (OSError, NotImplementedError, RuntimeError, EOFError) as error:  # unreadable, encrypted, damaged member
        raise _refused(path, f"cannot be read ({error})") from error


def _no_archive(path: Path) -> ConfigError:
    """What a file is that is not the archive torch.save writes."""
    head = read_head(path)
    if other := other_file(path, head):
        return ConfigError(Problem("model", f"{path} {other.what}", other.cure))
    if head.startswith(b"PK\3\4"):
        found = f"{path} is cut short: {path.stat().st_size} bytes, and its end is missing"
        return ConfigError(Problem("model", found, COPY_AGAIN))
    for start, kind in _OTHER_WEIGHTS.items():
        if head.startswith(start, 8 if start == b"{" else 0):
            return _refused(path, f"is {kind}")
    return _refused(path, "is not a .pt file: it begins with " + repr(head[:12])[1:])


class _Stub:
    """Stands for an object of the file: keeps what it was made of, does nothing with it."""

    full_name = ""

    def __new__(cls, *arguments: Any, **named: Any) -> _Stub:
        stub = super().__new__(cls)  # a pickle may leave __init__ out
        stub.state = {}
        return stub

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.state: dict[str, Any]

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                self.state.update(part)

    def _ignore(self, *items: Any) -> None:
        """Of an object that pickles as a mapping, a list or a set the items are of no interest."""

    __setitem__ = append = extend = add = _ignore


class _InertUnpickler(pickle.Unpickler):
    """Resolves every class and function of a pickle to a stub, and remembers its name."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.seen: set[str] = set()
        self._stubs: dict[str, type[_Stub]] = {}

    def find_class(self, module: str, name: str) -> Any:
        full_name = f"{module}.{name}"
        self.seen.add(full_name)
        if full_name in _PLAIN:
            return _PLAIN[full_name]
        if full_name not in self._stubs:
            self._stubs[full_name] = type(name, (_Stub,), {"full_name": full_name})
        return self._stubs[full_name]

    def persistent_load(self, identifier: Any) -> Any:
        return _Stub(identifier)


def _task(model: _Stub, arguments: dict[Any, Any]) -> Task | None:
    """As Ultralytics finds it: the model's own word, else that of its training, else its class."""
    for word in (model.state.get("task"), arguments.get("task")):
        if isinstance(word, str) and word in Task.__members__:
            return Task[word]
    return _TASK_OF_CLASS.get(type(model).full_name.rpartition(".")[2])


def _plain(value: Any) -> Any:
    """A copy of nested containers in which everything unknown is its name."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else _kind(value)


def _is_state_dict(content: dict[Any, Any]) -> bool:
    inner = content.get("state_dict") or content.get("model") or content
    if not isinstance(inner, dict) or not inner:
        return False
    return all(isinstance(value, _Stub) and "_rebuild" in type(value).full_name for value in inner.values())


def _kind(value: Any) -> str:
    return type(value).full_name if isinstance(value, _Stub) else type(value).__name__


def _of_type(value: Any, kind: type[Any]) -> Any:
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def _refused(path: Path, found: str) -> ConfigError:
    instead = "write a .pt that Ultralytics or yoloscale saved, or a released name (yolo26n)"
    return ConfigError(Problem("model", f"{path} {found}", instead))
