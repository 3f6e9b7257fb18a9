"""The name of an image's file in a view (labels/, pictures/, crops/): the image's own, with the folders it lies in.

| source | name below the view's folder |
| --- | --- |
| `/data/images/train/a.jpg` | `train/a`, where all images of the run lie in /data/images |
| `https://host/x/a.jpg?size=2` | `host/x/a` |
| `/data/set.tar!train/a.jpg` | `set.tar/train/a` |
| frame 7 of `/data/clip.mp4` | `clip_7` |
| `a.jpg` beside `a.png`, or an image that is listed twice | `a@3`, `a@9`: each with its index in the manifest |

Two images never have one name: what several would have is followed by `@` and the index in all of them, and so is a
name that ends like that already. A folder whose name ends as the files of a view do (`x.jpg/`) gets an `@`, too.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from yoloscale.system.files import replacement

MAX_PART = 180  # bytes of a folder or of a file: a file system takes 255
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")
_MARKED = re.compile(r"@\d+$")
_FILE_SUFFIXES = (".txt", ".jpg")


@dataclass(frozen=True)
class Names:
    """The names of all images of one run.

    `root`: the folders that all have in common, which are left out. `shared`: sorted digests (uint64) of the names that
    several images would have.
    """

    root: tuple[str, ...]
    shared: npt.NDArray[np.uint64]

    def of(self, index: int, source: str, frame: int | None) -> str:
        """Folders and name of an image's file below the folder of a view, without a suffix; `/` between them."""
        parts = _place(source, frame)
        name = "/".join(parts[len(self.root) :])
        return f"{name}@{index}" if self._is_shared(parts) or _MARKED.search(name) else name

    def save(self, path: Path) -> None:
        """Write them, whole or not at all, for the other ranks."""
        with replacement(path) as part, part.open("wb") as file:
            np.savez(file, root=np.array(self.root, dtype=np.str_), shared=self.shared)

    def _is_shared(self, parts: tuple[str, ...]) -> bool:
        digest = _digest(parts)
        place = int(np.searchsorted(self.shared, np.uint64(digest)))
        return place < len(self.shared) and int(self.shared[place]) == digest


def load(path: Path) -> Names:
    """The names that `Names.save` has written. Raises FileNotFoundError."""
    with np.load(path, allow_pickle=False) as content:
        return Names(tuple(content["root"].tolist()), content["shared"])


def names_of(images: Iterable[tuple[str, int | None]]) -> Names:
    """The names for all images of a run, given as (source, frame) in any order; it keeps eight bytes of each."""
    kept = array("Q")
    root: tuple[str, ...] | None = None
    for source, frame in images:
        parts = _place(source, frame)
        kept.append(_digest(parts))
        if root is None:
            root = parts[:-1]
        elif parts[: len(root)] != root:
            root = _common(root, parts[:-1])
    digests = np.frombuffer(kept, dtype=np.uint64).copy()
    digests.sort()
    return Names(root or (), np.unique(digests[1:][digests[1:] == digests[:-1]]))


def as_folder(name: str) -> str:
    """A name as one folder below that of a view, whatever is in it; as `x@` where a file could be called so, too."""
    flat = _cut(name.replace("/", "-").replace("\0", ""))
    if flat in ("", ".", ".."):
        flat += "@"
    return f"{flat}@" if flat.endswith(_FILE_SUFFIXES) else flat


def _place(source: str, frame: int | None) -> tuple[str, ...]:
    """Folders and stem of one image, from the root of all there is."""
    text = source
    if scheme := _SCHEME.match(source):
        text = source[scheme.end() :]
        if scheme[0].startswith("http"):
            text = re.split(r"[?#]", text, maxsplit=1)[0]
    text = text.replace(".tar!", ".tar/")
    parts = [part for part in text.split("/") if part not in ("", ".", "..")]
    stem = PurePosixPath(parts[-1]).stem if parts else "image"
    numbered = _cut(stem) if frame is None else f"{_cut(stem)}_{frame}"
    return (*(as_folder(part) for part in parts[:-1]), numbered)


def _cut(part: str) -> str:
    return part.encode("utf-8", "replace")[:MAX_PART].decode("utf-8", "ignore")


def _digest(parts: tuple[str, ...]) -> int:
    return int.from_bytes(hashlib.blake2b("/".join(parts).encode(), digest_size=8).digest(), "little")


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return tuple(part for part, _ in pairs)
