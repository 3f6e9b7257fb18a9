"""Checkpoints on disk: complete or absent, verified when read.

    checkpoints/step-000000128/state.pt       torch.save of tensors and plain containers
                              /manifest.json  step, epoch, position, sha256 and size of each file; written last

A checkpoint is written into a temporary folder, synced, and renamed into place in one step. Readers trust a folder
only if every file has the size and the digest that its manifest states; a broken one is kept aside, renamed. One that
is written again, for the same step, gives way only once the new one is in its place; until then it is
`replaced-step-…`, and readers know that name too. So at no moment is there less on disk than before.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

STATE, MANIFEST = "state.pt", "manifest.json"
PREFIX, TEMPORARY, BROKEN, REPLACED, REMOVED = "step-", ".writing-", "broken-", "replaced-", ".removing-"
NAME = re.compile(f"({REPLACED})?{PREFIX}[0-9]{{9,}}")


@dataclass(frozen=True)
class Stored:
    """One checkpoint that was found valid: its folder and its manifest."""

    path: Path
    manifest: dict[str, Any]

    @property
    def step(self) -> int:
        """Optimiser steps done when it was taken."""
        return int(self.manifest["step"])


@dataclass(frozen=True)
class Retention:
    """What stays on disk when a newer checkpoint is there: never fewer than two complete ones.

    Args:
        newest: so many of the newest; at least 2.
        each_steps: the first one of every so many optimiser steps, too; None: no others.
        best: the newest one that was saved as the best, too.
    """

    newest: int = 2
    each_steps: int | None = None
    best: bool = True


class CheckpointStore:
    """The checkpoints of one run. Rank 0 writes, from one thread at a time; any rank may read."""

    def __init__(self, folder: Path, retention: Retention) -> None:
        self._folder, self._retention = folder, retention

    def save(self, state: dict[str, Any], position: dict[str, int], *, best: bool = False) -> Path:
        """Store a state; returns its folder. Raises OSError if the disk does not take it; nothing is left then.

        `position` has at least `step`, the number of optimiser steps done, which names the folder.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._clear()
        final = self._folder / f"{PREFIX}{position['step']:09d}"
        temporary = self._folder / f"{TEMPORARY}{final.name}"
        try:
            temporary.mkdir(exist_ok=True)
            _write_state(state, temporary / STATE)
            manifest = {"format": 1, **position, "best": best, "files": {STATE: _fingerprint(temporary / STATE)}}
            (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
            for path in (temporary / STATE, temporary / MANIFEST, temporary):
                _sync(path)
            self._put(temporary, final)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        self._retire()
        return final

    def candidates(self) -> list[Path]:
        """Folders that may be checkpoints, newest first; not verified."""
        found = [path for path in self._folder.glob(f"*{PREFIX}*") if NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: (path.name.removeprefix(REPLACED), path.name), reverse=True)

    def newest(self, before: int | None = None) -> tuple[Stored | None, list[str]]:
        """The newest valid checkpoint (of fewer steps than `before`), and a sentence about each broken one that was
        passed over. Only reads."""
        complaints: list[str] = []
        for path in self.candidates():
            if before is not None and _step_of(path) >= before:
                continue
            try:
                return Stored(path, verify(path)), complaints
            except (OSError, ValueError, KeyError, TypeError) as error:
                complaints.append(f"checkpoint {path.name} is broken and was passed over: {error}")
        return None, complaints

    def set_aside_newer_than(self, stored: Stored | None) -> None:
        """Rename the folders newer than `stored`, so that they are kept for inspection and never tried again.

        They are broken, or hold a state that led nowhere; retention, too, goes by the step.
        """
        for path in self.candidates():
            if stored is not None and path == stored.path:
                return
            target = path.with_name(f"{BROKEN}{path.name}")
            shutil.rmtree(target, ignore_errors=True)
            path.rename(target)

    def _put(self, temporary: Path, final: Path) -> None:
        """Rename a written checkpoint into place. The same step again, after a roll-back say: the new one counts."""
        replaced = final.with_name(f"{REPLACED}{final.name}")
        if final.exists():
            if replaced.exists():
                self._remove(replaced)
            final.rename(replaced)
        temporary.rename(final)
        _sync(self._folder)
        if replaced.exists():
            self._remove(replaced)

    def _clear(self) -> None:
        """Remove what a writer that was killed has left half done.

        Nobody reads it, so what cannot be removed (NFS keeps what is open elsewhere) waits for the next time.
        """
        for pattern in (f"{TEMPORARY}*", f"{REMOVED}*"):
            for path in self._folder.glob(pattern):
                shutil.rmtree(path, ignore_errors=True)

    def _remove(self, path: Path) -> None:
        """Under another name first: a removal that is broken off leaves nothing that looks like a checkpoint."""
        removed = path.with_name(f"{REMOVED}{path.name}")
        path.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)  # else `_clear` does it

    def _retire(self) -> None:
        """Remove what `Retention` does not keep."""
        complete: list[tuple[Path, dict[str, Any]]] = []  # newest first
        for path in self.candidates():
            manifest = _manifest_if_complete(path)
            if manifest is not None:
                complete.append((path, manifest))
        newest = max(self._retention.newest, 2)
        if len(complete) <= newest:
            return
        kept = {path for path, _ in complete[:newest]} | self._kept_besides(complete)
        oldest_of_newest = complete[newest - 1][1]["step"]
        for path in self.candidates():
            if path not in kept and _step_of(path) <= oldest_of_newest:
                self._remove(path)

    def _kept_besides(self, complete: list[tuple[Path, dict[str, Any]]]) -> set[Path]:
        """Checkpoints that stay although they are old."""
        kept: dict[object, Path] = {}
        for path, manifest in complete:
            if self._retention.best and manifest.get("best"):
                kept.setdefault("best", path)
            window = manifest["step"] // self._retention.each_steps if self._retention.each_steps else 0
            if window:
                kept[window] = path  # the oldest of its window comes last
        return set(kept.values())


def _write_state(state: dict[str, Any], path: Path) -> None:
    try:
        torch.save(state, path)
    except RuntimeError as error:  # torch's writer hides what the disk said
        raise OSError(f"{path.name} could not be written, the disk may be full: {error}") from error


def load(stored: Stored) -> dict[str, Any]:
    """The state of a verified checkpoint, on the CPU."""
    state: dict[str, Any] = torch.load(stored.path / STATE, map_location="cpu", weights_only=True)
    return state


def verify(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint folder, if all its files are as the manifest says.

    Raises:
        OSError, ValueError, KeyError, TypeError: it is not complete; the message says what differs.
    """
    manifest: dict[str, Any] = json.loads((path / MANIFEST).read_text())
    for name, expected in manifest["files"].items():
        size = (path / name).stat().st_size
        if size != expected["bytes"]:
            raise ValueError(f"{name} has {size} bytes, its manifest says {expected['bytes']}")
        if _fingerprint(path / name)["sha256"] != expected["sha256"]:
            raise ValueError(f"{name} does not have the sha256 its manifest states")
    return manifest


def _manifest_if_complete(path: Path) -> dict[str, Any] | None:
    """The manifest of a folder whose files have the sizes it states; their content is not read."""
    try:
        manifest: dict[str, Any] = json.loads((path / MANIFEST).read_text())
        sizes = {name: expected["bytes"] for name, expected in manifest["files"].items()}
        return manifest if all((path / name).stat().st_size == size for name, size in sizes.items()) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _step_of(path: Path) -> int:
    return int(path.name.removeprefix(REPLACED).removeprefix(PREFIX))


def _fingerprint(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


def _sync(path: Path) -> None:
    """Make a file or a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
