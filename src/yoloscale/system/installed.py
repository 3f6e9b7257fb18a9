"""Versions of the packages that decide what a model finds."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("torch", "torchvision", "ultralytics", "numpy", "opencv-python", "opencv-python-headless", "pillow")


def versions_of(more: Sequence[str] = ()) -> dict[str, str]:
    """Those that are installed here, and of `more` packages likewise.

    Without what only tells how torch was built (`+cpu`): the device is frozen by itself.
    """
    versions = {}
    for package in (*PACKAGES, *more):
        try:
            versions[package] = version(package).partition("+")[0]
        except PackageNotFoundError:
            continue
    return versions
