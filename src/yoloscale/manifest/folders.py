"""Folders and globs as streams of paths, in the order of their bytes, in the memory of one part of a folder.

A path is below `base` unless it is absolute. Names that begin with a dot are passed over, as Ultralytics passes over
them; links to folders are followed, but not back into a folder that they are in.
"""

from __future__ import annotations

import heapq
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

from yoloscale.datasets.file_kinds import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from yoloscale.system.remarks import Say

MOST_NAMES = 8_192  # of one folder that are sorted in memory; more are sorted in a temporary file
_BLOCK_BYTES = 1 << 13  # of each of its parts
_SUFFIXES = frozenset(suffix.encode() for suffix in IMAGE_SUFFIXES | VIDEO_SUFFIXES)
_MAGIC = re.compile(r"[*?[]")
_Enter = Callable[[str], bool]


@dataclass(frozen=True)
class _Folder:
    """A folder that is being walked: its path as it is shown, what is still to come, and which folder it is."""

    path: bytes  # with a slash at its end, or empty
    names: Iterator[bytes]
    identity: tuple[int, int]


def walk(folder: str, base: str, say: Say, enter: _Enter = lambda path: True) -> Iterator[str]:
    """The images and videos below a folder, recursively, sorted by the bytes of their paths.

    `enter`: whether a folder below it, told as its path, is looked into. Raises OSError for a folder that cannot be
    read; one that has gone meanwhile is empty.
    """
    stack = [_open(os.path.join(os.fsencode(folder), b"") if folder else b"", base)]  # noqa: PTH118  # bytes
    while stack:
        current = stack[-1]
        try:
            name = next(current.names, None)
        except FileNotFoundError:
            name = None
        if name is None:
            stack.pop()
            continue
        path = current.path + name
        if not name.endswith(b"/"):
            yield os.fsdecode(path)
        elif enter(os.fsdecode(path[:-1])):
            try:
                below = _open(path, base)
            except FileNotFoundError:
                continue
            if any(below.identity == above.identity for above in stack):
                say(f"{os.fsdecode(path)!r} is a link to a folder that it is in; what it leads to is listed once")
            else:
                stack.append(below)


def is_glob(path: str) -> bool:
    """Whether a path that is not there may be meant as a pattern."""
    return _MAGIC.search(path) is not None


def matches(pattern: str, base: str, say: Say) -> Iterator[str]:
    """The images and videos that a glob matches, and those below folders that it matches; sorted as `walk` does.

    `**` is any number of folders. Raises OSError as `walk` does.
    """
    parts = pattern.split("/")
    literal = next(index for index, part in enumerate(parts) if is_glob(part))
    root, parts = "/".join(parts[:literal]), [part for part in parts[literal:] if part]
    if literal and not root:
        root = "/"
    skipped = len(os.path.join(root, "")) if root else 0  # noqa: PTH118  # text, not a place
    below = ".*" if parts[-1] == "**" or pattern.endswith("/") else "(?:/.*)?"
    whole = re.compile("".join(map(_translated, parts)).removesuffix("" if below == ".*" else "/") + below, re.DOTALL)
    levels = [None if part == "**" else re.compile(_translated(part), re.DOTALL) for part in parts]

    def enter(path: str) -> bool:
        for level, name in zip(levels, path[skipped:].split("/"), strict=False):
            if level is None:
                return True
            if not level.fullmatch(f"{name}/"):
                return False
        return True

    if not os.path.isdir(os.path.join(base, root)):  # noqa: PTH112, PTH118  # text, also where it is no UTF-8
        return
    yield from (path for path in walk(root, base, say, enter) if whole.fullmatch(path[skipped:]))


def _translated(part: str) -> str:
    """A part of a glob, with the slash behind it, as a regular expression."""
    if part == "**":
        return "(?:[^/]+/)*"
    sequence = r"\[!?\]?[^]/]*\]"
    pieces = re.findall(rf"{sequence}|.", part, re.DOTALL)
    return "".join(map(_translated_piece, pieces)) + "/"


def _translated_piece(piece: str) -> str:
    if piece in "*?":
        return "[^/]*" if piece == "*" else "[^/]"
    if len(piece) == 1:
        return re.escape(piece)
    negation = "^/" if piece[1] == "!" else ""
    inside = re.sub(r"([\\\[\]^&|~])", r"\\\1", piece[2:-1] if negation else piece[1:-1])
    try:
        return re.compile(f"[{negation}{inside}]").pattern
    except re.error:  # a range that goes backwards: as it stands
        return re.escape(piece)


def _open(path: bytes, base: str) -> _Folder:
    place = os.path.join(os.fsencode(base), path)  # noqa: PTH118  # bytes, as names need not be UTF-8
    status = os.stat(place)  # noqa: PTH116
    return _Folder(path, sorted_names(_names(place)), (status.st_dev, status.st_ino))


def _names(place: bytes) -> Iterator[bytes]:
    """Names of images and videos, and those of folders with a slash: sorted, they are in the order of whole paths."""
    with os.scandir(place) as entries:
        for entry in entries:
            if entry.name.startswith(b"."):
                continue
            if _is_folder(entry):
                yield entry.name + b"/"
                continue
            _, dot, suffix = entry.name.rpartition(b".")
            if dot and suffix.lower() in _SUFFIXES:
                yield entry.name


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, say: it becomes a row that says so
        return False


def sorted_names(names: Iterable[bytes], most: int = MOST_NAMES) -> Iterator[bytes]:
    """Names without a zero byte, sorted; `most` of them at a time are in memory. Raises OSError."""
    stream = iter(names)
    chunk = sorted(islice(stream, most))
    if len(chunk) < most:
        yield from chunk
        return
    with tempfile.TemporaryFile(prefix="yoloscale-names-") as file:
        ends = [0]
        while chunk:
            file.write(b"\0".join(chunk) + b"\0")
            ends.append(file.tell())
            chunk = sorted(islice(stream, most))
        file.flush()
        runs = [_run(file.fileno(), *span) for span in pairwise(ends)]
        yield from heapq.merge(*runs)


def _run(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    """The names between two places of the temporary file."""
    rest = b""
    while start < end:
        block = os.pread(descriptor, min(_BLOCK_BYTES, end - start), start)
        start += len(block)
        *names, rest = (rest + block).split(b"\0")
        yield from names
