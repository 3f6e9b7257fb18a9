"""Whether a dataset is the same one, wherever it lies: told from names, sizes and labels; no image is opened.

The sizes of JPEGs are left out: the first scan of Ultralytics writes those anew that have bytes behind their end.

The launcher's counterpart of `yolo/fingerprint.py`, which needs Ultralytics' data sets: it is taken before any rank
starts, of the files as they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from yoloscale.system.in_threads import in_threads
from yoloscale.system.remarks import Say, silent

_REWRITTEN = (".jpg", ".jpeg")


def digest(
    splits: Mapping[str, Sequence[str]], label_of: Callable[[str], str | None], about: object, say: Say = silent
) -> str:
    """A sha256 over the images of each split, by their names below the folder that they share, in any order.

    `label_of`: the label file of an image, if there is one; its text counts, of a picture its size. `about`: what else
    of the dataset training depends on (names of classes, keypoints).
    """
    whole = sha256(repr(about).encode())
    for split, images in sorted(splits.items()):
        whole.update(f"{split}\0{len(images)}\0".encode())
        common = os.path.commonpath([os.path.dirname(os.path.abspath(image)) for image in images]) if images else ""  # noqa: PTH100, PTH120

        def entries_of(chunk: Sequence[str], common: str = common) -> list[bytes]:
            return [_entry(os.path.relpath(image, common), image, label_of(image)) for image in chunk]

        parts = in_threads(entries_of, images, "images in the fingerprint", say)
        for entry in sorted(entry for part in parts for entry in part):
            whole.update(entry)
    return whole.hexdigest()[:32]


def _entry(name: str, image: str, label: str | None) -> bytes:
    entry = sha256(os.fsencode(name))
    entry.update(b"\0\0" if image.lower().endswith(_REWRITTEN) else f"\0{_size(image)}\0".encode())
    if label is not None:
        entry.update(_content(label) if label.endswith(".txt") else str(_size(label)).encode())
    return entry.digest()


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size  # noqa: PTH116  # a Path for each of millions of files costs more
    except OSError:
        return -1


def _content(label: str) -> bytes:
    """A label's lines, without what an editor or a copy from another system changes about their ends."""
    try:
        return b"\n".join(line.strip() for line in Path(label).read_bytes().splitlines())
    except OSError:
        return b"absent"
