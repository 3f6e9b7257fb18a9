"""Files that are replaced: whole or as they were, whoever else reads or replaces them, from whatever machine."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import re
import secrets
import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path

MAX_HOST = 100
PART = ".part"  # the end of the name of what is not whole yet; only a writer that was killed leaves it


def beside(path: Path) -> Path:
    """A name next to `path`, to write to and to rename: no other process has it, on no other machine.

    `<name>.<random>.part`. A pid is no such name: in containers on two machines it is 1.
    """
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}{PART}")


def is_part(entry: Path, of: Path) -> bool:
    """Whether it is what a killed writer of the file has left."""
    return entry.match(f"{of.name}.*{PART}")


def content_of(path: Path) -> bytes | None:
    """The bytes of a file; None if there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def write_whole(path: Path, text: str, *, synced: bool = False) -> None:
    """Replace a file, as UTF-8; `synced`: it survives a power cut.

    Raises OSError if the disk does not take it; the file that was there stays.
    """
    with replacement(path) as part:
        part.write_text(text, encoding="utf-8")
        if synced:
            sync(part)


@contextlib.contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """A name to write a file to, which takes the place of `path` at the end of the block; an error leaves nothing."""
    part = beside(path)
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def first_free(path: Path, first: int = 1) -> Path:
    """`path`, `path-2`, `path-3`, …, whichever is not there yet; from `first` on. Makes nothing."""
    return next(candidate for candidate in _numbered(path, first) if not candidate.exists())


def make_first_free(path: Path) -> Path:
    """Make the folder `path`, `path-2`, `path-3`, …, whichever is the first that nobody has; and its parents."""
    for candidate in _numbered(path):
        try:
            candidate.mkdir(parents=True)  # atomic: of two that try, one gets it
        except FileExistsError:
            continue
        return candidate
    raise AssertionError("numbers do not end")


def _numbered(path: Path, first: int = 1) -> Iterator[Path]:
    return (path if number == 1 else path.with_name(f"{path.name}-{number}") for number in count(first))


def sync(path: Path) -> None:
    """Make a file or a folder survive a power cut. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(folder: Path) -> None:
    """Make all that was written in the file system of a folder survive a power cut; of many files, quicker than each.

    Raises OSError.
    """
    system = ctypes.CDLL(None, use_errno=True)
    if not hasattr(system, "syncfs"):  # not Linux
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if system.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


def blocks(path: Path) -> Iterator[bytes]:
    """The content of a file, in pieces of 1 MiB at most."""
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


def sha256_of(path: Path) -> str:
    """The digest of a file's content, in hexadecimal digits."""
    digest = hashlib.sha256()
    for block in blocks(path):
        digest.update(block)
    return digest.hexdigest()


def sha256_below(path: Path) -> str:
    """The digest of a file's content; of a folder, that of the names and contents of all files below it."""
    if not path.is_dir():
        return sha256_of(path)
    digest = hashlib.sha256()
    for name, file in sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file()):
        digest.update(f"{name}\0{sha256_of(file)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def host_name() -> str:
    """This machine's name with nothing in it that a shell or a file system minds."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", socket.gethostname()).strip(".-")[:MAX_HOST] or "host"
