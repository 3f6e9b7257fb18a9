"""What an exported model says about itself, read without what it was exported for, and without running any of it.

| format | where Ultralytics puts it |
| --- | --- |
| `.onnx` | in the file's metadata properties: field 14 of a protocol buffer |
| `.engine` | a JSON object at its beginning, after four bytes of length |
| `.torchscript` | a member `extra/config.txt` of the archive |
| `.tflite` | a member `metadata.json` of an archive behind the model |
| folders (OpenVINO, NCNN, …) | `metadata.yaml` |
"""

from __future__ import annotations

import ast
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from yoloscale.config.schema import Task
from yoloscale.errors import ConfigError, Problem

_METADATA_FIELD = 14  # of an ONNX ModelProto
_ENTRY_BYTES = 1 << 20  # of one entry: the names of all classes, say
_MEMBERS = ("extra/config.txt", "metadata.json")
_NEEDS = {
    ".onnx": ("onnxruntime", "onnxruntime-gpu"),
    ".engine": ("tensorrt",),
    ".tflite": ("ai-edge-litert",),
    ".mnn": ("MNN",),
    "_openvino_model": ("openvino",),
    "_ncnn_model": ("ncnn",),
    "_paddle_model": ("paddlepaddle",),
}


@dataclass(frozen=True)
class ArtefactFile:
    """An exported model as it describes itself; None where it does not say."""

    path: Path
    task: Task | None
    imgsz: list[int] | None  # height, width
    batch: int | None
    is_dynamic: bool  # of any size, and of any batch
    packages: tuple[str, ...]  # one of which is needed to run it

    @property
    def shape(self) -> str:
        """`640x640`: height and width."""
        return "x".join(map(str, self.imgsz or ()))


def inspect(path: Path) -> ArtefactFile:
    """Read a file or folder. Raises ConfigError if it is not there, or empty."""
    if not path.exists():
        raise ConfigError(Problem("model", f"{path}: there is no such file", "write the path of an exported model"))
    if path.is_file() and path.stat().st_size == 0:
        raise ConfigError(Problem("model", f"{path} is empty", "export it again, or copy it again"))
    said = _metadata(path)
    arguments = said.get("args")
    return ArtefactFile(
        path=path,
        task=Task[said["task"]] if said.get("task") in Task.__members__ else None,
        imgsz=_sizes(said.get("imgsz")),
        batch=said["batch"] if isinstance(said.get("batch"), int) else None,
        is_dynamic=bool(isinstance(arguments, dict) and arguments.get("dynamic")),
        packages=next((names for end, names in _NEEDS.items() if path.name.lower().endswith(end)), ()),
    )


def _metadata(path: Path) -> dict[str, Any]:
    """What it says by name, as plain data; empty where it does not, or says it in another way."""
    suffix = path.suffix.lower()
    try:
        if path.is_dir():
            said = yaml.safe_load((path / "metadata.yaml").read_text(encoding="utf-8"))
        elif suffix == ".engine":
            said = _of_engine(path)
        elif suffix == ".onnx":
            said = {key: _plain(value) for key, value in _of_onnx(path)}
        elif zipfile.is_zipfile(path):
            said = _of_archive(path)
        else:
            said = {}
    except (OSError, ValueError, yaml.YAMLError, zipfile.BadZipFile, EOFError):
        return {}
    return {str(key): value for key, value in said.items()} if isinstance(said, dict) else {}


def _plain(text: str) -> Any:
    """The value that a text is the literal of, or the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _sizes(value: Any) -> list[int] | None:
    if isinstance(value, int):
        return [value, value]
    is_pair = isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(side, int) for side in value)
    return list(value) if is_pair else None


def _of_engine(path: Path) -> Any:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(4), "little")
        return json.loads(file.read(length)) if 0 < length < _ENTRY_BYTES else {}


def _of_archive(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        name = next((name for name in archive.namelist() if name.endswith(_MEMBERS)), None)
        return {} if name is None else json.loads(archive.read(name))


def _of_onnx(path: Path) -> Iterator[tuple[str, str]]:
    """Metadata properties of an ONNX file; its graph is stepped over."""
    with path.open("rb") as file:
        for field, content in _fields(file, path.stat().st_size, wanted=_METADATA_FIELD):
            if field == _METADATA_FIELD:
                entry = dict(_entry(content))
                yield entry.get(1, ""), entry.get(2, "")


def _fields(file: BinaryIO, size: int, wanted: int) -> Iterator[tuple[int, bytes]]:
    """Fields of a protocol buffer with what is in those that are wanted. Raises ValueError, EOFError for another."""
    while file.tell() < size:
        tag = _varint(file)
        field, kind = tag >> 3, tag & 7
        if kind == 0:
            _varint(file)
        elif kind == 2:
            length = _varint(file)
            if field == wanted and length <= _ENTRY_BYTES:
                yield field, file.read(length)
            else:
                file.seek(length, 1)
        elif kind in (1, 5):
            file.seek(8 if kind == 1 else 4, 1)
        else:
            raise ValueError(f"a protocol buffer has no fields of kind {kind}")


def _entry(content: bytes) -> Iterator[tuple[int, str]]:
    """Key (1) and value (2) of a property."""
    position = 0
    while position < len(content):
        tag, position = content[position], position + 1
        length, shift = 0, 0
        while True:
            byte, position = content[position], position + 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        yield tag >> 3, content[position : position + length].decode("utf-8", "replace")
        position += length


def _varint(file: BinaryIO) -> int:
    value, shift = 0, 0
    while True:
        byte = file.read(1)
        if not byte:
            raise EOFError("it ends within a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7
