"""What a manifest holds: each kind of source in its order, and what is said of those that cannot be used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import polars
import pytest
from tests.manifest.manifests import manifest_of, sources_of, touch

from yoloscale.errors import ConfigError
from yoloscale.manifest.table import Item


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The working folder of these tests."""
    folder = tmp_path / "working"
    folder.mkdir()
    return folder


def problems_of(base: Path, *sources: str, column: str = "source") -> list[str]:
    before = sorted(base.parent.iterdir())
    with pytest.raises(ConfigError) as raised:
        manifest_of(base, *sources, column=column)
    assert sorted(base.parent.iterdir()) == before  # no manifest, no part of one
    return [f"{problem.key}: {problem.found}; {problem.instead}" for problem in raised.value.problems]


def test_a_folder_is_listed_recursively_by_the_bytes_of_its_paths(base: Path) -> None:
    names = ["b.jpg", "B.JPG", "a/x.png", "a-b/x.png", "a.jpg", "a/é.tif", "a/deep/er/y.webp", "z.jpeg"]
    touch(base / "images", *names, "a/label.txt", "none", ".hidden.jpg", ".cache/c.jpg", "a/._x.png", "jpg")
    items = manifest_of(base, "images")
    assert sources_of(items) == sorted((f"images/{name}" for name in names), key=os.fsencode)
    assert [item.index for item in items] == list(range(len(names)))
    assert sources_of(manifest_of(base, "images/")) == sources_of(items)
    assert sources_of(manifest_of(base, str(base / "images"))) == [f"{base}/{item.source}" for item in items]


def test_sources_stay_in_the_order_typed_and_an_image_listed_twice_is_two_rows(base: Path) -> None:
    touch(base, "b/1.jpg", "a/1.jpg", "c.jpg")
    assert sources_of(manifest_of(base, "c.jpg", "b", "a", "c.jpg")) == ["c.jpg", "b/1.jpg", "a/1.jpg", "c.jpg"]


def test_links_to_folders_are_followed_but_never_in_a_circle(base: Path) -> None:
    touch(base, "images/a/1.jpg", "elsewhere/2.jpg")
    (base / "images/a/up").symlink_to(base / "images")
    (base / "images/self.jpg").symlink_to("self.jpg")
    (base / "images/far").symlink_to(base / "elsewhere")
    (base / "images/gone.jpg").symlink_to("nowhere.jpg")
    remarks = list[str]()
    items = manifest_of(base, "images", say=remarks.append)
    expected = ["images/a/1.jpg", "images/far/2.jpg", "images/gone.jpg", "images/self.jpg"]
    assert sources_of(items) == expected
    assert len(remarks) == 1
    assert "'images/a/up/'" in remarks[0]


def test_names_with_blanks_newlines_quotes_and_bytes_that_are_no_utf_8(base: Path) -> None:
    odd = [
        b"a b.jpg",
        b"new\nline.jpg",
        b'it\'s "$x".jpg',
        b"latin-\xe9.jpg",
        "unicode-é😀.jpg".encode(),
        b"back\\xe9.jpg",
    ]
    touch(base / "images", *odd)
    items = manifest_of(base, "images")
    assert [os.fsencode(item.path) for item in items] == sorted(b"images/" + name for name in odd)
    shown = {os.fsencode(item.path): item.source for item in items}
    assert shown[b"images/latin-\xe9.jpg"] == r"images/latin-\xe9.jpg"
    assert shown[b"images/new\nline.jpg"] == "images/new\nline.jpg"
    assert [item.file is not None for item in items] == [b"\xe9" in os.fsencode(item.path)[:14] for item in items]


def test_a_glob_takes_files_and_what_is_below_folders(base: Path) -> None:
    touch(base, "day-1/a.jpg", "day-2/sub/b.jpg", "day-10/c.png", "other/d.jpg", "day-3.txt")
    assert sources_of(manifest_of(base, "day-*")) == ["day-1/a.jpg", "day-10/c.png", "day-2/sub/b.jpg"]
    assert sources_of(manifest_of(base, "**/*.jpg")) == ["day-1/a.jpg", "day-2/sub/b.jpg", "other/d.jpg"]
    assert sources_of(manifest_of(base, "day-[12]/*.jpg")) == ["day-1/a.jpg"]
    touch(base, "odd[1].jpg", "odd1.jpg")
    assert sources_of(manifest_of(base, "odd[1].jpg")) == ["odd[1].jpg"]


def test_a_list_of_lines_keeps_its_order_and_takes_a_hash_as_text(base: Path) -> None:
    touch(base, "b.jpg", "#a.jpg", "lists/beside.jpg", "folder/z.jpg", "folder/y.jpg")
    lines = [
        "b.jpg",
        "",
        "#a.jpg",
        "  b.jpg  ",
        "beside.jpg",
        "folder",
        "missing.jpg",
        "fold*/z.jpg",
        "notes.xyz",
        "lists/l.txt",
    ]
    (base / "lists" / "l.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\nlatin-\xe9.jpg")
    items = manifest_of(base, "lists/l.txt")
    expected = ["b.jpg", "#a.jpg", "b.jpg", "lists/beside.jpg", "folder/y.jpg", "folder/z.jpg", "missing.jpg"]
    assert sources_of(items) == [*expected, "folder/z.jpg", "notes.xyz", "lists/l.txt", r"latin-\xe9.jpg"]
    assert os.fsencode(items[-1].path) == b"latin-\xe9.jpg"


def test_a_csv_has_a_column_of_paths_or_nothing_else(base: Path) -> None:
    (base / "l.csv").write_text('id,file,note\n1,"new\nline, with comma.jpg",x\n\n2,b.jpg,"y"\n')
    assert sources_of(manifest_of(base, "l.csv", column="file")) == ["new\nline, with comma.jpg", "b.jpg"]
    (base / "zero.csv").write_bytes(b"source\n" + b"x" * 600 + b".jpg\na\0b.jpg\na\0b.mp4\n")
    if sys.version_info >= (3, 11):  # before, csv refuses it
        assert sources_of(manifest_of(base, "zero.csv"))[1:] == ["a\0b.jpg", "a\0b.mp4"]
    (base / "alone.csv").write_text("x.jpg\ny.jpg\n")
    assert sources_of(manifest_of(base, "alone.csv")) == ["x.jpg", "y.jpg"]
    (base / "headed.csv").write_text("source\ny.jpg\n")
    assert sources_of(manifest_of(base, "headed.csv")) == ["y.jpg"]
    assert problems_of(base, "l.csv") == [
        "predict.column: "
        f"{base}/l.csv has no column source, but id, file, note; write the name of the column that has the paths"
    ]
    (base / "l.csv").write_text("id,file\n1,\n")
    assert "l.csv:2: file is empty" in problems_of(base, "l.csv", column="file")[0]


def test_a_parquet_list_keeps_its_order_over_row_groups(base: Path) -> None:
    names = [f"{number % 7}/{number}.jpg" for number in range(50_000)]
    frame = polars.DataFrame({"id": range(len(names)), "path": names})
    frame.write_parquet(base / "l.parquet", row_group_size=4_000)
    assert sources_of(manifest_of(base, "l.parquet", column="path")) == names
    assert "is Int64, no text" in problems_of(base, "l.parquet", column="id")[0]
    assert "has no column source, but id, path" in problems_of(base, "l.parquet")[0]
    (base / "bad.parquet").write_bytes(b"PAR1 and nothing else")
    assert "cannot be read as Parquet" in problems_of(base, "bad.parquet")[0]


def test_all_problems_are_told_at_once(base: Path) -> None:
    touch(base, "images/a.jpg", "model.pt", "archive.zip")
    problems = problems_of(base, "imagse", "model.pt", "archive.zip", "rtsp://camera/1", "0")
    assert len(problems) == 5
    assert problems[0] == f"source: there is no imagse; there is images in {base}"
    assert all(problem.startswith("source: ") for problem in problems)


def test_sources_that_hold_nothing_are_told_with_what_to_write(base: Path) -> None:
    (base / "empty").mkdir()
    touch(base, "labels/a.txt", "images/a.jpg")
    problems = problems_of(base, "empty", "images", "labels", "im*/*.png")
    assert [problem.partition(";")[0] for problem in problems] == [
        f"source: {name} has no image and no video" for name in ("empty", "labels", "im*/*.png")
    ]
    assert "write a folder that has some (by their suffixes: asf, avi, avif, bmp," in problems[0]
    (base / "l.txt").write_text("\n\n")
    assert "l.txt has no image and no video" in problems_of(base, "l.txt")[0]
    (base / "l.txt").write_text("a.jpg\n", encoding="utf-16")
    assert "is UTF-16; save the list as UTF-8" in problems_of(base, "l.txt")[0]
    assert "there is none" in problems_of(base)[0]
    assert "one of them is empty" in problems_of(base, "images", "")[0]


def test_a_folder_that_cannot_be_read_is_told(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(base, "images/a.jpg", "images/closed/b.jpg", "images/gone/c.jpg", "images/z.jpg")
    real = os.scandir

    def scandir(place: bytes) -> object:
        if place.endswith(b"/gone/"):
            raise FileNotFoundError(2, "No such file or directory", place)
        return real(place)

    monkeypatch.setattr(os, "scandir", scandir)
    expected = ["images/a.jpg", "images/closed/b.jpg", "images/z.jpg"]
    assert sources_of(manifest_of(base, "images")) == expected
    (base.parent / "manifest.parquet").unlink()

    def closed(place: bytes) -> object:
        if place.endswith(b"/closed/"):
            raise PermissionError(13, "Permission denied", place)
        return real(place)

    monkeypatch.setattr(os, "scandir", closed)
    assert problems_of(base, "images") == [
        f"source: {base}/images/closed/ cannot be read (Permission denied); make it readable, or write another source"
    ]


def test_a_manifest_stays_as_it_is_when_the_folder_changes(base: Path) -> None:
    touch(base, "images/a.jpg", "images/c.jpg")
    first = manifest_of(base, "images")
    touch(base, "images/b.jpg")
    (base / "images/a.jpg").unlink()
    assert first == [Item(0, "images/a.jpg"), Item(1, "images/c.jpg")]
    assert sources_of(manifest_of(base, "images")) == ["images/b.jpg", "images/c.jpg"]


def test_the_same_sources_make_the_same_bytes(base: Path) -> None:
    touch(base, *(f"images/{number}.jpg" for number in range(300)))
    one, two = base.parent / "one.parquet", base.parent / "two.parquet"
    manifest_of(base, "images", to=one)
    manifest_of(base, "images", to=two)
    assert one.read_bytes() == two.read_bytes()


ENDLESS = """
import itertools, signal, sys
from pathlib import Path
from yoloscale.manifest.table import Entry, write_entries
signal.signal(signal.SIGINT, signal.default_int_handler)
def entries():
    for number in itertools.count():
        if number == 100_000:
            print("on its way", flush=True)
        yield Entry(f"{number}.jpg")
try:
    write_entries(entries(), Path(sys.argv[1]))
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_ctrl_c_ends_the_writing_and_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENDLESS, str(tmp_path / "manifest.parquet")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "on its way\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert list(tmp_path.iterdir()) == []
