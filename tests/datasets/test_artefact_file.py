"""What exported models say of themselves, compared with Ultralytics' own reading of the same files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import yaml

from yoloscale.config.schema import Task
from yoloscale.datasets.artefact_file import inspect
from yoloscale.errors import ConfigError

SAID = {"task": "segment", "imgsz": [320, 640], "batch": 4, "names": {0: "thing"}, "args": {"dynamic": True}}


def varint(number: int) -> bytes:
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(high) if high else bytes([low])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def onnx(path: Path) -> None:
    """A model of one large field, between those that say something."""
    entries = [field(1, key.encode()) + field(2, str(value).encode()) for key, value in SAID.items()]
    graph = field(7, b"\xff" * 300_000)
    path.write_bytes(varint(1 << 3) + varint(8) + graph + b"".join(field(14, entry) for entry in entries))


def engine(path: Path) -> None:
    head = json.dumps(SAID).encode()
    path.write_bytes(len(head).to_bytes(4, "little") + head + b"\0engine")


def archive(path: Path) -> None:
    name = "metadata.json" if path.suffix == ".tflite" else "best/extra/config.txt"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("best/data.pkl", b"")
        file.writestr(name, json.dumps(SAID))


def folder(path: Path) -> None:
    path.mkdir()
    (path / "metadata.yaml").write_text(yaml.safe_dump(SAID))


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("m.onnx", onnx),
        ("m.engine", engine),
        ("m.torchscript", archive),
        ("m.tflite", archive),
        ("m_openvino_model", folder),
    ],
)
def test_what_is_read_is_what_ultralytics_reads(tmp_path: Path, name: str, make: object) -> None:
    from ultralytics.nn.backends.base import BaseBackend

    path = tmp_path / name
    assert callable(make)
    make(path)
    theirs = BaseBackend.read_metadata(path)
    assert str(theirs["imgsz"]) == "[320, 640]", "the file is one that they can read"
    ours = inspect(path)
    assert (ours.task, ours.imgsz, ours.batch, ours.is_dynamic) == (Task.segment, [320, 640], 4, True)
    assert ours.shape == "320x640"


@pytest.mark.parametrize("content", [b"\x0a", b"\x3f\xff\xff", b"PK\3\4", b"{", b"\x72\xff\xff\xff\xff\x0f"])
@pytest.mark.parametrize("suffix", [".onnx", ".engine", ".torchscript"])
def test_a_damaged_file_says_nothing_and_breaks_nothing(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    ours = inspect(path)
    assert (ours.task, ours.imgsz, ours.batch, ours.is_dynamic) == (None, None, None, False)


def test_what_is_not_there_or_empty(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").touch()
    for name, said in (("m.onnx", "is empty"), ("n.onnx", "there is no such file")):
        with pytest.raises(ConfigError, match=said):
            inspect(tmp_path / name)
