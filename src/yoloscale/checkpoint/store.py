"""Checkpoints on disk: complete or absent, verified when read.

    checkpoints/step-000000128/state.pt       torch.save of tensors and plain containers
                              /manifest.json  id of the run, step, epoch, position, sha256 and size of each file; last

A checkpoint is written into a temporary folder, synced, and renamed into place in one step. Readers trust a folder
only if every file has the size and the digest that its manifest states; a broken one is kept aside, renamed. One that
is written again, for the same step, gives way only once the new one is in its place; until then it is
`replaced-step-…`, and readers know that name too. So at no moment is there less on disk than before.

A checkpoint with the id of another run does not count: that run's ranks wrote it when its folder had been removed and
the name was used again, or a person has put it there. It is kept aside as `other-<its id>-step-…`.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from yoloscale.system.files import beside, blocks, sha256_of, sync

STATE, MANIFEST = "state.pt", "manifest.json"
PREFIX, TEMPORARY, BROKEN, REPLACED, REMOVED = "step-", ".writing-", "broken-", "replaced-", ".removing-"
OTHER = "other-"
NAME = re.compile(f"({REPLACED})?{PREFIX}[0-9]{{9,}}")


@dataclass(frozen=True)
class Stored:
    """One checkpoint that was found valid: its folder, its manifest and what was read of its state."""

    path: Path
    manifest: dict[str, Any]
    content: io.BytesIO = field(repr=False, compare=False)

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
    """The checkpoints of one run. Rank 0 writes, from one thread at a time; any rank may read.

    Args:
        run_id: of the run; empty in one of before there were ids, whose checkpoints have none either.
        check: raises OSError if the folder is not this run's any more; called before anything in it is changed.
    """

    def __init__(
        self, folder: Path, retention: Retention, *, run_id: str = "", check: Callable[[], None] = lambda: None
    ) -> None:
        self._folder, self._retention, self._run_id, self._check = folder, retention, run_id, check

    def save(self, state: dict[str, Any], position: dict[str, int], *, best: bool = False) -> Path:
        """Store a state; returns its folder. Raises OSError if the disk does not take it; nothing is left then.

        `position` has at least `step`, the number of optimiser steps done, which names the folder.
        """
        self._check()
        self._folder.mkdir(exist_ok=True)  # not its parents: a run that was removed is not made anew
        self._clear()
        final = self._folder / f"{PREFIX}{position['step']:09d}"
        # another run of this name, or an older rank 0 of this one that still lives, may write the same step
        temporary = beside(self._folder / f"{TEMPORARY}{final.name}")
        try:
            temporary.mkdir(exist_ok=True)
            file, manifest_file = temporary / STATE, temporary / MANIFEST
            _write_state(state, file)
            files = {STATE: {"bytes": file.stat().st_size, "sha256": sha256_of(file)}}
            manifest = {"format": 1, "id": self._run_id, **position, "best": best, "files": files}
            manifest_file.write_text(json.dumps(manifest, indent=1) + "\n")
            for path in (file, manifest_file, temporary):
                sync(path)
            self._check()
            self._put(temporary, final)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        self._retire()
        return final

    def candidates(self) -> list[Path]:
        """Folders that may be checkpoints, newest first; not verified."""
        folders = [path for path in self._folder.glob(f"*{PREFIX}*") if NAME.fullmatch(path.name)]
        return sorted(folders, key=lambda path: (path.name.removeprefix(REPLACED), path.name), reverse=True)

    def newest(self, before: int | None = None) -> tuple[Stored | None, list[str]]:
        """The newest valid checkpoint of this run (of fewer steps than `before`), and a sentence about each broken one
        that was passed over. Only reads."""
        complaints: list[str] = []
        for path in self.candidates():
            if (before is not None and _step_of(path) >= before) or self._owner(path) is not None:
                continue
            try:
                return read(path), complaints
            except (OSError, ValueError, KeyError, TypeError) as error:
                complaints.append(f"checkpoint {path.name} is broken and was passed over: {error}")
        return None, complaints

    def set_aside_others(self) -> list[str]:
        """Rename the checkpoints of other runs, so that they are in nobody's way; a sentence about each."""
        return [self._set_aside_other(path, owner) for path in self.candidates() if (owner := self._owner(path))]

    def set_aside_newer_than(self, stored: Stored | None) -> None:
        """Rename the folders newer than `stored`, so that they are kept for inspection and never tried again.

        They are broken, or hold a state that led nowhere; retention, too, goes by the step.
        """
        for path in self.candidates():
            if stored is not None and path == stored.path:
                return
            self._rename(path, f"{BROKEN}{path.name}")

    def _owner(self, path: Path) -> str | None:
        """The other run that a folder belongs to, as its id in words; None for this run's, or if that cannot be read.

        One whose manifest says nothing is broken, and so this run's to complain about.
        """
        try:
            owner = str(_manifest(path).get("id") or "")
        except (OSError, ValueError, AttributeError):
            return None
        return None if owner == self._run_id else owner or "no-id"

    def _set_aside_other(self, path: Path, owner: str) -> str:
        name = f"{OTHER}{owner}-{path.name}"
        self._rename(path, name)
        return f"checkpoint {path.name} is of another run ({owner}), was passed over and is kept as {name}"

    def _rename(self, path: Path, name: str) -> None:
        self._check()
        target = path.with_name(name)
        shutil.rmtree(target, ignore_errors=True)
        path.rename(target)

    def _put(self, temporary: Path, final: Path) -> None:
        """Rename a written checkpoint into place. The same step again, after a roll-back say: the new one counts."""
        replaced = final.with_name(f"{REPLACED}{final.name}")
        if (owner := self._owner(final)) is not None:
            self._set_aside_other(final, owner)
        if final.exists():
            if replaced.exists():
                self._remove(replaced)
            final.rename(replaced)
        temporary.rename(final)
        sync(self._folder)
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
        manifests = ((path, _manifest_if_complete(path)) for path in self.candidates() if self._owner(path) is None)
        complete = [(path, manifest) for path, manifest in manifests if manifest is not None]  # newest first
        newest = max(self._retention.newest, 2)
        if len(complete) <= newest:
            return
        kept = {path for path, _ in complete[:newest]} | self._kept_besides(complete)
        oldest_of_newest = complete[newest - 1][1]["step"]
        for path in self.candidates():
            if path not in kept and _step_of(path) <= oldest_of_newest and self._owner(path) is None:
                self._remove(path)

    def _kept_besides(self, complete: list[tuple[Path, dict[str, Any]]]) -> set[Path]:
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
    """The state of a checkpoint that was found valid, on the CPU: of the bytes that were verified, read once."""
    stored.content.seek(0)
    state: dict[str, Any] = torch.load(stored.content, map_location="cpu", weights_only=True)
    return state


def read(path: Path) -> Stored:
    """A checkpoint folder, if all its files are as its manifest says; each is read once.

    Raises OSError, ValueError, KeyError or TypeError where it is not complete; the message says what differs.
    """
    manifest, content = _manifest(path), io.BytesIO()
    for name, expected in manifest["files"].items():
        size = (path / name).stat().st_size
        if size != expected["bytes"]:
            raise ValueError(f"{name} has {size} bytes, its manifest says {expected['bytes']}")
        digest = hashlib.sha256()
        for block in blocks(path / name):
            digest.update(block)
            if name == STATE:
                content.write(block)
        if digest.hexdigest() != expected["sha256"]:
            raise ValueError(f"{name} does not have the sha256 its manifest states")
    return Stored(path, manifest, content)


def _manifest(path: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((path / MANIFEST).read_text())
    return manifest


def _manifest_if_complete(path: Path) -> dict[str, Any] | None:
    """The manifest of a folder whose files have the sizes it states; their content is not read."""
    try:
        manifest = _manifest(path)
        sizes = {name: expected["bytes"] for name, expected in manifest["files"].items()}
        return manifest if all((path / name).stat().st_size == size for name, size in sizes.items()) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _step_of(path: Path) -> int:
    return int(path.name.removeprefix(REPLACED).removeprefix(PREFIX))
