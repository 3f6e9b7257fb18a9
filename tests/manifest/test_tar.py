"""Members by offset, against Python's tarfile in each format; and the archives that are refused."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from tests.manifest.manifests import manifest_of, sources_of

from yoloscale.errors import ConfigError
from yoloscale.manifest.content import Content, contents
from yoloscale.manifest.tar import Member, members

LONG = "/".join(["a-rather-long-folder"] * 12) + "/" + "n" * 120 + ".jpg"
NAMES = ["a.jpg", "./dir/b.PNG", "é😀.tif", LONG, "x" * 92 + ".jpg", "with blank\nline.bmp", "prefix/" * 20 + "c.jpg"]
TOO_LONG = {tarfile.USTAR_FORMAT: [LONG]}


def pack(path: Path, names: list[str], form: int = tarfile.PAX_FORMAT, **more: object) -> dict[str, bytes]:
    """An archive of files with what is passed over between them; returns the bytes of its images."""
    data = {name: os.urandom(number * 511) for number, name in enumerate(names)}
    with tarfile.open(path, "w", format=form, **more) as archive:  # type: ignore[call-overload]
        for name in ("folder", "folder.jpg"):
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)
        for name, content in data.items():
            for other in (name, f"{name}.txt", f"hidden/.{Path(name).name[:50]}.jpg"):
                entry = tarfile.TarInfo(other)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return data


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_have_the_places_that_tarfile_says(tmp_path: Path, form: int) -> None:
    names = [name for name in NAMES if name not in TOO_LONG.get(form, [])]
    path = tmp_path / "a.tar"
    data = pack(path, names, form)
    with tarfile.open(path) as archive:
        expected = [Member(m.name, m.offset_data, m.size) for m in archive if m.name in data]
    assert list(members(str(path))) == expected
    items = manifest_of(tmp_path, "a.tar", to=tmp_path / "m.parquet")
    assert sources_of(items) == [f"a.tar!{name}" for name in names]
    read = [content.data for _, content in contents(items, tmp_path) if isinstance(content, Content)]
    assert read == list(data.values())


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs tar")
@pytest.mark.parametrize("form", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_archives_of_tar_itself(tmp_path: Path, form: str) -> None:
    (tmp_path / "é").mkdir()
    for name in (b"1.jpg", b"latin-\xe9.jpg"):
        (tmp_path / "é" / os.fsdecode(name)).write_bytes(name)
    (tmp_path / "é" / "0.jpg").hardlink_to(tmp_path / "é" / "1.jpg")
    (tmp_path / "é" / "3.jpg").symlink_to("1.jpg")
    subprocess.run(["tar", f"--format={form}", "--sort=name", "-cf", "t.tar", "é"], cwd=tmp_path, check=True)
    items = manifest_of(tmp_path, "t.tar", to=tmp_path / "m.parquet")
    assert sources_of(items) == ["t.tar!é/0.jpg", "t.tar!é/1.jpg", "t.tar!é/3.jpg", r"t.tar!é/latin-\xe9.jpg"]
    pairs = list(contents(items, tmp_path))
    texts = [content.data if isinstance(content, Content) else content.reason for _, content in pairs]
    link = "is a link within its archive, without bytes of its own"
    assert texts == [b"1.jpg", link, link, b"latin-\xe9.jpg"]


def test_sizes_of_more_than_eight_gib(tmp_path: Path) -> None:
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tmp_path / f"{form}.tar"
        entry = tarfile.TarInfo("large.jpg")
        entry.size = 9 << 30
        header = entry.tobuf(form)
        with path.open("wb") as file:
            file.write(header)
            file.seek(len(header) + entry.size)
            last = tarfile.TarInfo("last.jpg")
            last.size = 3
            file.write(last.tobuf(form) + b"abc".ljust(512, b"\0") + bytes(1024))
        large, small = members(str(path))
        assert large == Member("large.jpg", len(header), 9 << 30)
        assert small == Member("last.jpg", len(header) + (9 << 30) + 512, 3)


def test_several_archives_in_one_file(tmp_path: Path) -> None:
    pack(tmp_path / "a.tar", ["a.jpg", "b.jpg"])
    pack(tmp_path / "b.tar", ["c.jpg"])
    (tmp_path / "ab.tar").write_bytes((tmp_path / "a.tar").read_bytes() + (tmp_path / "b.tar").read_bytes())
    assert [member.name for member in members(str(tmp_path / "ab.tar"))] == ["a.jpg", "b.jpg", "c.jpg"]


def test_records_for_the_whole_archive(tmp_path: Path) -> None:
    pack(tmp_path / "a.tar", NAMES[:2], pax_headers={"comment": "x" * 700})
    assert [member.name for member in members(str(tmp_path / "a.tar"))] == NAMES[:2]


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        manifest_of(path.parent, path.name, to=path.parent / "m.parquet")
    assert not (path.parent / "m.parquet").exists()
    (problem,) = raised.value.problems
    return f"{problem.key}: {problem.found.replace(str(path.parent) + '/', '')}; {problem.instead}"


def test_what_has_no_place_to_read_from_is_refused(tmp_path: Path) -> None:
    pack(tmp_path / "a.tar", ["a.jpg"])
    with gzip.open(tmp_path / "z.tar.gz", "wb") as file:
        file.write((tmp_path / "a.tar").read_bytes())
    assert refused(tmp_path / "z.tar.gz").endswith("unpack the archive, not its members: gzip -dk z.tar.gz")
    (tmp_path / "z.tar").write_bytes(b"PK\x03\x04" + bytes(600))
    assert "z.tar is a zip archive" in refused(tmp_path / "z.tar")
    (tmp_path / "z.tar").write_bytes(b"no archive" * 200)
    assert "z.tar is no tar file, or damaged at byte 0" in refused(tmp_path / "z.tar")
    (tmp_path / "z.tar").write_bytes(b"")
    assert "z.tar has no image and no video" in refused(tmp_path / "z.tar")


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs tar")
@pytest.mark.parametrize("form", ["gnu", "posix"])
def test_a_sparse_member_is_refused(tmp_path: Path, form: str) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(1 << 20)
    subprocess.run(["tar", f"--format={form}", "--sparse", "-cf", "s.tar", "a.jpg"], cwd=tmp_path, check=True)
    assert "s.tar has a sparse member" in refused(tmp_path / "s.tar")


def test_an_archive_that_is_cut_short_or_damaged_is_refused(tmp_path: Path) -> None:
    pack(tmp_path / "a.tar", ["a.jpg", "b.jpg", "c.jpg", LONG])
    whole = (tmp_path / "a.tar").read_bytes()
    places = {member.name: member for member in members(str(tmp_path / "a.tar"))}
    cut = tmp_path / "cut.tar"
    offset = places["c.jpg"].offset
    assert offset is not None
    cut.write_bytes(whole[: offset + 100])
    assert "cut.tar is cut short within 'c.jpg'; copy or pack it again" in refused(cut)
    cut.write_bytes(whole[: offset - 100])
    assert "cut.tar is cut short at byte" in refused(cut)
    cut.write_bytes(whole[: offset - 400] + b"\xff" + whole[offset - 399 :])
    assert "cut.tar is no tar file, or damaged at byte" in refused(cut)


def test_a_member_that_is_elsewhere_since_is_unreadable(tmp_path: Path) -> None:
    pack(tmp_path / "a.tar", ["a.jpg", "b.jpg", "c.jpg"])
    items = manifest_of(tmp_path, "a.tar", to=tmp_path / "m.parquet")
    pack(tmp_path / "a.tar", ["c.jpg", "d.jpg", "b.jpg", "a.jpg"])
    reasons = {getattr(content, "reason", None) for _, content in contents(items[1:], tmp_path)}
    assert reasons == {"is not where it was in its archive when the manifest was made"}
