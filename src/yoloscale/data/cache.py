"""Decoded images once per node: every rank and loader worker of the node maps the same pages.

`cache=ram` keeps them in shared memory for the life of the run, `cache=disk` in files that later runs find again.
Ultralytics keeps one copy per rank (ultralytics/ultralytics issue 22307).
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from yoloscale.data.room import SHARED_MEMORY, size
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.heartbeat import HEARTBEAT
from yoloscale.system import memory
from yoloscale.system.in_threads import in_threads
from yoloscale.system.locks import try_lock

Image = npt.NDArray[Any]
_OWNER = "owner"
# partial folders, and folders of versions that named them by a pid
_UNOWNED = re.compile(r"\.yoloscale-(?:([0-9]{1,7})-)?.*\.partial|yoloscale-([0-9]{1,7})-[0-9a-f]{24}-[0-9]+")
_UNOWNED_S = 3600.0  # longer than anybody takes from making a folder to owning it
Read = Callable[[int], tuple[Image, tuple[int, int]]]
"""Decodes image i: (H, W, C) uint8, perhaps resized, and the height and width of the file."""


@dataclass(frozen=True, eq=False)
class NodeImages:
    """Read access to the decoded images of a data set, by index; every access returns a private copy."""

    parts: Sequence[Image]  # the bytes of many images each
    placement: Sequence[tuple[int, int]]  # part and offset of each image
    shapes: Sequence[tuple[int, ...]]
    originals: Sequence[tuple[int, int]]

    def __getitem__(self, index: int) -> Image:
        part, offset = self.placement[index]
        shape = self.shapes[index]
        view = self.parts[part][offset : offset + int(np.prod(shape))]
        private: Image = view.reshape(shape).copy()  # augmentation works in place
        return private

    def __len__(self) -> int:
        return len(self.shapes)


def fingerprint(files: Sequence[str], *settings: object) -> str:
    """Names a cache by its content: the files with their sizes and times, and how they are decoded."""
    digest = blake2b(repr(settings).encode(), digest_size=12)
    for lines in HEARTBEAT.through(in_threads(_lines, files), each=1):
        digest.update(lines)
    return digest.hexdigest()


def _lines(files: Sequence[str]) -> bytes:
    statuses = [(file, os.stat(file)) for file in files]  # noqa: PTH116  # a Path for each of millions costs more
    lines = (f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n" for file, status in statuses)
    return "".join(lines).encode("utf-8", "surrogateescape")


def build(
    kind: str, count: int, read: Read, key: str, disk: Path, ranks: Ranks, threads: int, spared: int = 0
) -> NodeImages | str:
    """Collective. Decode the images, each rank of a node a share, and map all shares.

    Args:
        kind: "ram" or "disk".
        key: from `fingerprint`; names the folder.
        disk: the folder of disk caches, on this node.
        spared: bytes of memory on this node that others are going to need.

    Returns the images, or a sentence that says why there is no room for them.
    """
    token = _token_of_node(ranks)
    is_kept = kind == "disk"
    memory_folder = SHARED_MEMORY if SHARED_MEMORY.is_dir() else Path(gettempdir())
    parent, prefix = (disk, "yoloscale") if is_kept else (memory_folder, f"yoloscale-{token}")
    folder = parent / f"{prefix}-{key}-{ranks.local_world_size}"
    partial = folder.with_name(f".{folder.name}@{ranks.host}@{token}.partial")
    if ranks.is_first_of_node:
        # a disk may be that of other nodes, too, whose locks some file systems do not show here
        _remove_orphans(parent, f".yoloscale-*@{glob.escape(ranks.host)}@*.partial" if is_kept else "*yoloscale-*")
    with contextlib.ExitStack() as owner:
        if not all(group.gather_objects(folder.is_dir())):
            refusal = _refusal(kind, folder, count, read, spared) if ranks.is_first_of_node else None
            if refusals := list(filter(None, group.gather_objects(refusal))):
                return refusals[0]
            if ranks.is_first_of_node:
                owner.enter_context(_owned(partial))
            group.barrier()
            share = range(ranks.local_rank, count, ranks.local_world_size)
            _write_share(partial, share, read, ranks.local_rank, threads)
            group.barrier()
            if ranks.is_first_of_node:
                _give_name(partial, folder)
        group.barrier()
        images = _map(folder, ranks.local_world_size, count)
        group.barrier()
        if not is_kept and ranks.is_first_of_node:
            shutil.rmtree(folder)  # the mappings keep the pages until the last rank ends, however it ends
        return images


def _token_of_node(ranks: Ranks) -> str:
    """Collective. A name that this node's ranks have in common, and nobody else: containers have pids in common."""
    everybody = group.gather_objects((ranks.host, ranks.is_first_of_node, secrets.token_hex(6)))
    return next(token for host, is_first, token in everybody if is_first and host == ranks.host)


@contextlib.contextmanager
def _owned(partial: Path) -> Iterator[None]:
    """Make the folder, with a file in it that is locked for as long as this process lives, in whatever container.

    It is locked before it is there, so that nobody takes it for one that was left.
    """
    partial.mkdir(parents=True)
    file = partial / f"{_OWNER}.new"
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: nothing there is taken for left
            try_lock(descriptor)
        file.rename(partial / _OWNER)
        yield
    finally:
        os.close(descriptor)


def _remove_orphans(parent: Path, pattern: str) -> None:
    """Remove what a run that was killed while it filled its cache has left."""
    for folder in parent.glob(pattern):
        try:
            descriptor = os.open(folder / _OWNER, os.O_RDWR)
        except FileNotFoundError:
            if _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)
            continue
        except OSError:  # it belongs to somebody else
            continue
        try:
            if try_lock(descriptor):  # else its owner lives, or nobody can tell
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(descriptor)


def _is_abandoned(folder: Path) -> bool:
    """Whether a folder without owner was left: by an older version, or by a kill before it had one."""
    match = _UNOWNED.fullmatch(folder.name)
    if not match or psutil.pid_exists(int(match[1] or match[2] or -1)):
        return False
    try:
        newest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    except OSError:
        return False
    return time.time() - newest > _UNOWNED_S


def _give_name(partial: Path, folder: Path) -> None:
    """Rename; another run on the same data set may have been faster."""
    try:
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(partial)


def _refusal(kind: str, folder: Path, count: int, read: Read, spared: int) -> str | None:
    """Why the images do not fit, judged by a few of them; None if they do.

    Shared memory is memory of the job; half of what is free is left to what the ranks come to hold. Files of a disk
    cache are in memory only as long as nobody else wants it.
    """
    few = range(0, count, max(count // 16, 1))
    needed = 1.1 * count * sum(read(index)[0].nbytes for index in few) / len(few)
    place = next(parent for parent in folder.parents if parent.exists())
    free, limit = float(shutil.disk_usage(place).free), str(place)
    if kind == "ram":
        of_job = memory.available()
        free -= spared
        if (half := (of_job.free_bytes - spared) / 2) < free:
            free, limit = half, of_job.limit
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
        images = json.loads((folder / f"part-{share}.json").read_text())
        for index, (shape, original) in zip(range(share, count, shares), images, strict=True):
            placement[index], shapes[index], originals[index] = (share, offset), tuple(shape), tuple(original)
            offset += int(np.prod(shape))
        file = folder / f"part-{share}.bin"
        mapped = np.memmap(file, dtype=np.uint8, mode="r") if offset else np.zeros(0, np.uint8)
        parts.append(np.asarray(mapped))  # slices of a plain array cost less than those of a memmap
    return NodeImages(parts, placement, shapes, originals)
