"""Decoded images once per node: every rank and loader worker of the node maps the same pages.

`cache=ram` keeps them in shared memory for the life of the run, `cache=disk` in files that later runs find again.
Ultralytics keeps one copy per rank (ultralytics/ultralytics issue 22307).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from yoloscale.config import memory
from yoloscale.data.room import SHARED_MEMORY, size
from yoloscale.dist import group
from yoloscale.dist.environment import Ranks
from yoloscale.dist.heartbeat import HEARTBEAT

Image = npt.NDArray[Any]
Read = Callable[[int], tuple[Image, tuple[int, int]]]
"""Decodes image i: (H, W, C) uint8, perhaps resized, and the height and width of the file."""


class NodeImages:
    """Read access to the decoded images of a data set, by index; every access returns a private copy."""

    def __init__(
        self,
        parts: Sequence[Image],
        placement: Sequence[tuple[int, int]],
        shapes: Sequence[tuple[int, ...]],
        originals: Sequence[tuple[int, int]],
    ) -> None:
        self._parts, self._placement, self.shapes, self.originals = parts, placement, shapes, originals

    def __getitem__(self, index: int) -> Image:
        part, offset = self._placement[index]
        shape = self.shapes[index]
        view = self._parts[part][offset : offset + int(np.prod(shape))]
        private: Image = view.reshape(shape).copy()  # augmentation works in place
        return private

    def __len__(self) -> int:
        return len(self.shapes)


def fingerprint(files: Sequence[str], *settings: object) -> str:
    """Names a cache by its content: the files with their sizes and times, and how they are decoded."""
    digest = blake2b(repr(settings).encode(), digest_size=12)
    for file in HEARTBEAT.through(files):
        status = Path(file).stat()
        digest.update(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def build(
    kind: str, count: int, read: Read, key: str, disk: Path, ranks: Ranks, threads: int, spared: int = 0
) -> NodeImages | str:
    """Collective. Decode the images, each rank of a node a share, and map all shares.

    Args:
        kind: "ram" or "disk".
        key: from `fingerprint`; names the folder.
        disk: the folder of disk caches, on this node.
        spared: bytes of memory on this node that others are going to need.

    Returns:
        The images, or a sentence that says why there is no room for them.
    """
    owner = _first_of_node(ranks)
    if kind == "ram" and ranks.is_first_of_node:
        _remove_orphans()
    parent, prefix = (disk, "yoloscale") if kind == "disk" else (_memory_folder(), f"yoloscale-{owner}")
    folder = parent / f"{prefix}-{key}-{ranks.local_world_size}"
    if not all(group.gather_objects(folder.is_dir())):
        refusal = _refusal(kind, folder, count, read, spared) if ranks.is_first_of_node else None
        refusal = next((r for r in group.gather_objects(refusal) if r), None)
        if refusal:
            return refusal
        partial = folder.with_name(f".{folder.name}.{ranks.host}.{owner}.partial")
        if ranks.is_first_of_node:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        group.barrier()
        _write_share(partial, range(ranks.local_rank, count, ranks.local_world_size), read, ranks.local_rank, threads)
        group.barrier()
        if ranks.is_first_of_node:
            _give_name(partial, folder)
    group.barrier()
    images = _map(folder, ranks.local_world_size, count)
    group.barrier()
    if kind == "ram" and ranks.is_first_of_node:
        shutil.rmtree(folder)  # the mappings keep the pages until the last rank ends, however it ends
    return images


def _first_of_node(ranks: Ranks) -> int:
    """Collective. The process id of this node's first rank, which names what belongs to this run alone."""
    everybody = group.gather_objects((ranks.host, ranks.is_first_of_node, os.getpid()))
    return next(pid for host, is_first, pid in everybody if is_first and host == ranks.host)


def _remove_orphans() -> None:
    """Remove what a run that was killed while it filled its cache has left in shared memory."""
    for path in _memory_folder().glob("*yoloscale-*"):
        owner = path.name.lstrip(".").split("-")[1]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(path, ignore_errors=True)


def _give_name(partial: Path, folder: Path) -> None:
    """Rename; another run on the same data set may have been faster."""
    try:
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(partial)


def _memory_folder() -> Path:
    return SHARED_MEMORY if SHARED_MEMORY.is_dir() else Path(gettempdir())


def _refusal(kind: str, folder: Path, count: int, read: Read, spared: int) -> str | None:
    """Why the images do not fit, judged by a few of them; None if they do.

    Shared memory is memory of the job; half of what is free is left to what the ranks come to hold. Files of a disk
    cache are in memory only as long as nobody else wants it.
    """
    chosen = range(0, count, max(count // 16, 1))
    needed = 1.1 * count * sum(read(i)[0].nbytes for i in chosen) / len(chosen)
    place = next(parent for parent in folder.parents if parent.exists())
    free, limit = float(shutil.disk_usage(place).free), str(place)
    if kind == "ram":
        left = memory.available()
        free -= spared
        if (half := (left.free_bytes - spared) / 2) < free:
            free, limit = half, left.limit
    if needed <= free:
        return None
    allowed = size(max(free, 0.0))
    return f"cache={kind} needs {size(needed)} on each node and {allowed} may be used ({limit}): not cached"


def _write_share(folder: Path, indices: range, read: Read, share: int, threads: int) -> None:
    shapes = []
    with (folder / f"part-{share}.bin").open("wb") as file, ThreadPoolExecutor(max(threads, 1)) as pool:
        remaining = HEARTBEAT.through(indices)
        while chunk := list(islice(remaining, 256)):
            for image, original in pool.map(read, chunk):
                file.write(np.ascontiguousarray(image, dtype=np.uint8).tobytes())
                shapes.append((image.shape, original))
    (folder / f"part-{share}.json").write_text(json.dumps(shapes))


def _map(folder: Path, shares: int, count: int) -> NodeImages:
    parts: list[Image] = []
    placement: list[tuple[int, int]] = [(0, 0)] * count
    shapes: list[tuple[int, ...]] = [()] * count
    originals = [(0, 0)] * count
    for share in range(shares):
        offset = 0
        noted = json.loads((folder / f"part-{share}.json").read_text())
        for index, (shape, original) in zip(range(share, count, shares), noted, strict=True):
            placement[index], shapes[index], originals[index] = (share, offset), tuple(shape), tuple(original)
            offset += int(np.prod(shape))
        file = folder / f"part-{share}.bin"
        mapped = np.memmap(file, dtype=np.uint8, mode="r") if offset else np.zeros(0, np.uint8)
        parts.append(np.asarray(mapped))  # slices of a plain array cost less than those of a memmap
    return NodeImages(parts, placement, shapes, originals)
