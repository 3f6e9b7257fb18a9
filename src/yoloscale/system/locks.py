"""Locks on files: of one process or of those that inherit the descriptor, whichever of them is killed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # Lustre and NFS as many sites mount them


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file: True, False while another process has the lock, None where the file system has no locks.

    The lock goes when the last process that has inherited the descriptor closes it, or ends. Raises OSError.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return None
    return True


def build_once(target: Path, build: Callable[[Path], None]) -> Path:
    """Return `target`, a folder; if absent, let `build` fill a folder beside it and give it the name by one rename.

    A second process waits for the first one and then finds the folder. What a killed process left behind never has
    the name, and the next builder removes it. An exception of `build` passes through and leaves nothing.
    """
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.parent / f".{target.name}.lock") as alone:
        if target.is_dir():
            return target
        if alone:
            for abandoned in target.parent.glob(f".{target.name}.*.partial"):
                shutil.rmtree(abandoned, ignore_errors=True)
        partial = target.parent / f".{target.name}.{uuid.uuid4().hex}.partial"
        partial.mkdir()
        try:
            build(partial)
            _give_name(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return target


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold an exclusive lock on the file `path` and yield True; False where the file system has no locks.

    The lock goes with the process. The empty file stays: removing it would let two processes lock two files.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            alone = True
        except OSError:  # some network file systems; the rename still keeps every result whole
            alone = False
        yield alone
    finally:
        os.close(descriptor)


def _give_name(partial: Path, target: Path) -> None:
    try:
        partial.rename(target)
    except OSError:
        if not target.is_dir():  # not merely taken by a process that could not be locked out
            raise
