"""What an item holds, and the reason where it holds nothing; with other items beside it."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.manifest.manifests import manifest_of, touch

from yoloscale.manifest.content import Content, Reader, Unreadable, contents
from yoloscale.manifest.table import Item


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "working"
    folder.mkdir()
    return folder


def reason(base: Path, name: str) -> str:
    with Reader(base) as reader, pytest.raises(Unreadable) as raised:
        reader.read(Item(0, name))
    return raised.value.reason


def test_what_has_gone_since_the_manifest_is_unreadable_and_nothing_else_is(base: Path) -> None:
    touch(base / "images", "a.jpg", "b.jpg", b"c\xe9.jpg", "new\nline.jpg")
    items = manifest_of(base, "images")
    (base / "images/b.jpg").unlink()
    pairs = list(contents(items, base))
    assert [item for item, _ in pairs] == items
    texts = [content.data if isinstance(content, Content) else content.reason for _, content in pairs]
    assert texts == [b"a.jpg", "there is no such file", b"c\xe9.jpg", b"new\nline.jpg"]


def test_no_reason_has_a_path_in_it_and_a_pipe_is_not_waited_for(base: Path) -> None:
    (base / "folder.jpg").mkdir()
    os.mkfifo(base / "pipe.jpg")
    (base / "circle.jpg").symlink_to("circle.jpg")
    (base / "empty.jpg").write_bytes(b"")
    touch(base, "file")
    assert reason(base, "missing.jpg") == "there is no such file"
    assert reason(base, "folder.jpg") == "is no file, but a folder, a pipe or a device"
    assert reason(base, "pipe.jpg") == "is no file, but a folder, a pipe or a device"
    assert reason(base, "circle.jpg") == "cannot be read (Too many levels of symbolic links)"
    assert reason(base, "file/a.jpg") == "cannot be read (Not a directory)"
    assert reason(base, "x" * 300 + ".jpg") == "cannot be read (File name too long)"
    assert reason(base, "a\0b.jpg") == "there is a zero byte in its path"
    assert Reader(base).read(Item(0, "empty.jpg")) == Content(b"")


@pytest.mark.parametrize("call", ["open", "pread"])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.ESTALE, errno.EIO, errno.ETIMEDOUT])
def test_what_is_wrong_with_the_machine_or_a_mount_is_no_row(
    base: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    touch(base, "a.jpg")

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with Reader(base) as reader:
        monkeypatch.setattr(os, call, fail)
        with pytest.raises(OSError, match=os.strerror(number)):
            list(reader.contents([Item(0, "a.jpg")]))


def test_many_threads_read_through_one_reader(base: Path) -> None:
    touch(base / "images", *(f"{number}.jpg" for number in range(200)))
    items = manifest_of(base, "images")
    with Reader(base) as reader, ThreadPoolExecutor(8) as executor:
        data = [content.data for content in executor.map(reader.read, items)]
    assert data == [item.path.removeprefix("images/").encode() for item in items]


def test_a_path_is_below_the_base_unless_it_is_absolute(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(base, "a.jpg")
    assert Reader(base).read(Item(0, "a.jpg")) == Content(b"a.jpg")
    assert Reader(Path("/nowhere")).read(Item(0, str(base / "a.jpg"))) == Content(b"a.jpg")
    monkeypatch.chdir(base)
    assert Reader().read(Item(0, "a.jpg")) == Content(b"a.jpg")
