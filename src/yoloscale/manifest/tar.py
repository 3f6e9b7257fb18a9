"""The images and videos in a tar file, with the places of their bytes: its headers are walked, nothing is unpacked.

Formats: ustar, pax (long names and sizes, also of whole archives) and GNU (long names, sizes in base 256); several
archives in one file. Members come in the order of the archive. What is compressed or sparse has no place of its own to
read from and is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from yoloscale.datasets.file_kinds import is_image, is_video
from yoloscale.errors import ConfigError, Problem

BLOCK = 512
_COMPRESSED = {b"\x1f\x8b": "gzip -dk", b"BZh": "bzip2 -dk", b"\xfd7zXZ\0": "xz -dk", b"\x28\xb5\x2f\xfd": "zstd -d"}
_ZIP = b"PK\x03\x04"
_FILES, _LINKS, _EXTENSIONS = b"0\x007", b"12", b"xgLK"
_WITHOUT_CONTENT = b"123456"  # links, devices, folders and pipes, whatever size their headers name
_MOST_NAME_BYTES = 100  # that a header has room for; of a longer one it has a part
_MOST_EXTENSION_BYTES = 1 << 20  # of a long name or of pax records: anything above is damage


class Member(NamedTuple):
    """An image or video of an archive; a link to one has no offset. The name is as `os.fsdecode` makes it."""

    name: str
    offset: int | None  # of its first byte
    size: int | None  # bytes


def members(path: str) -> Iterator[Member]:
    """The images and videos of a tar file, but those whose names begin with a dot. Raises ConfigError and OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield from _members(descriptor, path)
    finally:
        os.close(descriptor)


def _members(descriptor: int, path: str) -> Iterator[Member]:
    end = os.fstat(descriptor).st_size
    _refuse_other(os.pread(descriptor, 6, 0), path)
    whole = dict[str, str]()  # pax records of all members from here on
    own = dict[str, str]()  # of the next one
    position, is_ended = 0, False
    while len(header := os.pread(descriptor, BLOCK, position)) == BLOCK:
        if not any(header):
            is_ended, position = True, position + BLOCK
            continue
        if not _is_header(header):
            if is_ended:
                return  # whatever was appended to an archive
            raise _problem(f"{path} is no tar file, or damaged at byte {position}", "copy or pack it again")
        kind, size = header[156:157], _number(header[124:136])
        start = position + BLOCK
        if kind in _EXTENSIONS:
            records = _extension(descriptor, path, kind, start, size)
            (whole if kind == b"g" else own).update(records)
        else:
            records, own = whole | own, {}
            size = int(records.get("size", size)) if kind in _FILES else size
            if kind == b"S" or any(key.startswith("GNU.sparse.") for key in records):
                raise _problem(f"{path} has a sparse member at byte {position}", "pack it again without --sparse")
            name = records.get("path") or _name(header)
            if start + size > end and kind in _FILES:
                raise _problem(f"{path} is cut short within {name!r}", "copy or pack it again")
            if _is_wanted(name) and kind in _FILES + _LINKS:
                yield Member(name, start, size) if kind in _FILES else Member(name, None, None)
            size = 0 if kind in _WITHOUT_CONTENT else size
        position = start + -(-size // BLOCK) * BLOCK
    if header:
        raise _problem(f"{path} is cut short at byte {position}", "copy or pack it again")


def is_place_of(header: bytes, name: str, size: int) -> bool:
    """Whether the block before a member's bytes is still its header: as far as that alone tells name and size."""
    if len(header) < BLOCK or not _is_header(header) or _number(header[124:136]) not in (size, 0):
        return False
    return not name.isascii() or len(name) > _MOST_NAME_BYTES or _name(header) == name


def _refuse_other(head: bytes, path: str) -> None:
    for magic, command in _COMPRESSED.items():
        if head.startswith(magic):
            found = f"{path} is compressed: its members have no place to be read from"
            raise _problem(found, f"unpack the archive, not its members: {command} {Path(path).name}")
    if head.startswith(_ZIP):
        raise _problem(f"{path} is a zip archive", "unpack it and write the folder of its images")


def _is_header(header: bytes) -> bool:
    """Whether the checksum is right; some writers have summed signed bytes."""
    try:
        checksum = _number(header[148:156])
    except ValueError:
        return False
    blanked = header[:148] + b" " * 8 + header[156:]
    return checksum == sum(blanked) or checksum == sum(byte - 256 * (byte > 127) for byte in blanked)


def _number(field: bytes) -> int:
    """A number in octal digits, or in base 256 as GNU tar writes what is too large for them. Raises ValueError."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    return int(field.strip(b" \0") or b"0", 8)


def _name(header: bytes) -> str:
    name = _text(header[:100])
    is_ustar = header[257:263] == b"ustar\0"  # what GNU tar writes has other fields where the prefix is
    prefix = _text(header[345:500]) if is_ustar else ""
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return os.fsdecode(field.partition(b"\0")[0])


def _extension(descriptor: int, path: str, kind: bytes, start: int, size: int) -> dict[str, str]:
    """What a header says of the next member, or of all to come. Raises ConfigError."""
    content = os.pread(descriptor, size, start) if size <= _MOST_EXTENSION_BYTES else b""
    if len(content) < size:
        raise _problem(f"{path} is damaged or cut short at byte {start}", "copy or pack it again")
    if kind in b"LK":
        return {"path": _text(content)} if kind == b"L" else {}
    records = dict[str, str]()
    while content.strip(b"\0"):
        digits, _, _ = content.partition(b" ")
        if not digits.isdigit() or not 0 < int(digits) <= len(content):
            raise _problem(f"{path} is damaged at byte {start}", "copy or pack it again")
        record, content = content[len(digits) + 1 : int(digits) - 1], content[int(digits) :]
        key, _, value = record.partition(b"=")
        records[key.decode("utf-8", "replace")] = os.fsdecode(value)
    return records


def _problem(found: str, instead: str) -> ConfigError:
    return ConfigError(Problem("source", found, instead))


def _is_wanted(name: str) -> bool:
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    return (is_image(name) or is_video(name)) and not any(part.startswith(".") for part in parts)
