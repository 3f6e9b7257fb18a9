"""What identifies a data set by its content as far as training knows it: names, sizes and labels of its images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

import numpy as np


def digest(dataset: Any) -> str:
    """A sha256 that does not depend on where the data set lies nor on the order in which its files were found.

    Reads no image: the labels, with the sizes of the images, are those that Ultralytics has checked.
    """
    return sha256(b"".join(sorted(_images(dataset)))).hexdigest()


def _images(dataset: Any) -> Iterator[bytes]:
    """A digest for each image."""
    if hasattr(dataset, "labels") and hasattr(dataset, "im_files"):
        names = _below_common([str(label["im_file"]) for label in dataset.labels])
        for name, label in zip(names, dataset.labels, strict=True):
            yield _entry(name, [(key, label[key]) for key in sorted(label) if key != "im_file"])
        return
    samples = [(str(sample[0]), sample[1]) for sample in dataset.samples]  # classification: file, class
    for name, (_, number) in zip(_below_common([file for file, _ in samples]), samples, strict=True):
        yield _entry(name, [("cls", int(number))])


def _entry(name: str, fields: Sequence[tuple[str, Any]]) -> bytes:
    digest = sha256(os.fsencode(name))
    for key, value in fields:
        digest.update(key.encode())
        for part in value if isinstance(value, list) else [value]:
            digest.update(np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return digest.digest()


def _below_common(files: Sequence[str]) -> list[str]:
    common = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files]) if files else ""  # noqa: PTH100, PTH120
    return [os.path.relpath(file, common) for file in files]
