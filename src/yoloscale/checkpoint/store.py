"""Checkpoints on disk: complete or absent, verified when read.

    checkpoints/step-000000128/state.pt       torch.save of tensors and plain containers
                              /manifest.json  step, epoch, position, sha256 and size of each file; written last

A checkpoint is written into a temporary folder, synced, and renamed into place in one step. Readers trust a folder
only if every file has the size and the digest that its manifest states; a broken one is kept aside, renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

STATE, MANIFEST = "state.pt", "manifest.json"
PREFIX, TEMPORARY, BROKEN = "step-", ".writing-", "broken-"


@dataclass(frozen=True)
class Stored:
    """One checkpoint that was found valid: its folder and its manifest."""

    path: Path
    manifest: dict[str, Any]

    @property
    def step(self) -> int:
        """Optimiser steps done when it was taken."""
        return int(self.manifest["step"])


class CheckpointStore:
    """The checkpoints of one run. Rank 0 writes; any rank may read."""

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder = folder
        self._keep = max(keep, 2)

    def save(self, state: dict[str, Any], position: dict[str, int]) -> Path:
        """Store a state; returns its folder. Raises OSError if the disk does not take it; nothing is left then.

        `position` has at least `step`, the number of optimiser steps done, which names the folder.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._clear_temporary()
        final = self._folder / f"{PREFIX}{position['step']:09d}"
        temporary = self._folder / f"{TEMPORARY}{final.name}"
        try:
            temporary.mkdir()
            _write_state(state, temporary / STATE)
            manifest = {"format": 1, **position, "files": {STATE: _fingerprint(temporary / STATE)}}
            (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
            for path in (temporary / STATE, temporary / MANIFEST, temporary):
                _sync(path)
            if final.exists():  # the same step again, after a rollback or a repeated stop: the new one counts
                shutil.rmtree(final)
            temporary.rename(final)
            _sync(self._folder)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        self._retire()
        return final

    def candidates(self) -> list[Path]:
        """Folders that may be checkpoints, newest first; not verified."""
        return sorted(self._folder.glob(f"{PREFIX}*"), reverse=True)

    def newest(self) -> tuple[Stored | None, list[str]]:
        """The newest valid checkpoint, and a sentence about each broken one that was passed over. Only reads."""
        complaints: list[str] = []
        for path in self.candidates():
            try:
                return Stored(path, verify(path)), complaints
            except (OSError, ValueError, KeyError, TypeError) as error:
                complaints.append(f"checkpoint {path.name} is broken and was passed over: {error}")
        return None, complaints

    def set_aside_newer_than(self, stored: Stored | None) -> None:
        """Rename broken folders newer than `stored`, so that they are kept for inspection and never tried again."""
        for path in self.candidates():
            if stored is None or path.name > stored.path.name:
                target = path.with_name(f"{BROKEN}{path.name}")
                shutil.rmtree(target, ignore_errors=True)
                path.rename(target)

    def _clear_temporary(self) -> None:
        for path in self._folder.glob(f"{TEMPORARY}*"):
            shutil.rmtree(path)

    def _retire(self) -> None:
        """Remove what is older than the newest `keep`."""
        for path in self.candidates()[self._keep :]:
            shutil.rmtree(path)


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
