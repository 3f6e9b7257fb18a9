"""Files that are replaced: whole or as they were, whoever else reads or replaces them, from whatever machine."""

from __future__ import annotations

import os
import re
import secrets
import socket
from pathlib import Path

MAX_HOST = 100
PART = ".part"  # the end of the name of what is not whole yet; only a writer that was killed leaves it


def beside(path: Path) -> Path:
    """A name next to `path`, to write to and to rename: no other process has it, on no other machine.

    `<name>.<random>.part`. A pid is no such name: in containers on two machines it is 1.
    """
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}{PART}")


def write_whole(path: Path, text: str, *, synced: bool = False) -> None:
    """Replace a file, as UTF-8; `synced`: it survives a power cut.

    Raises OSError if the disk does not take it; the file that was there stays.
    """
    part = beside(path)
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def host_name() -> str:
    """This machine's name with nothing in it that a shell or a file system minds."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", socket.gethostname()).strip(".-")[:MAX_HOST] or "host"
