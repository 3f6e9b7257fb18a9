"""The file that keeps a study: Optuna's journal, which processes of many nodes append to, each line whole or absent."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from yoloscale.runs import jsonl


class Journal:
    """Optuna's journal backend over one file, as its own file backend writes it, but sturdier.

    A line that a killed process or a full disk tore is left out by every reader, and the next one begins anew, where
    Optuna's own backend cannot be read any more. Nobody has gone by such a line: its writer died.
    """

    def __init__(self, path: Path) -> None:
        from optuna.storages.journal import JournalFileOpenLock

        self._path = path.absolute()
        self._lock = JournalFileOpenLock(str(self._path))  # a file made with O_EXCL: works on NFS, too, and over nodes
        self._read, self._offset = 0, 0  # entries before that byte

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The entries from a number on."""
        number, offset = (self._read, self._offset) if log_number_from >= self._read else (0, 0)
        with self._path.open("rb") as file:
            file.seek(offset)
            content = file.read()
        end = content.rfind(b"\n") + 1  # what comes behind is being written
        lines = content[:end].split(b"\n")[:-1]
        entries = [entry for line in lines if (entry := jsonl.parse(line)) is not None and "op_code" in entry]
        self._read, self._offset = number + len(entries), offset + end
        yield from entries[log_number_from - number :]

    def append_logs(self, logs: Sequence[dict[str, Any]]) -> None:
        """Append entries. Raises OSError if the disk is full."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        self._lock.acquire()
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                size = os.fstat(descriptor).st_size
                if size > 0 and os.pread(descriptor, 1, size - 1) != b"\n":
                    text = b"\n" + text
                if os.write(descriptor, text) < len(text):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        finally:
            self._lock.release()
