"""Ultralytics made fit for a rank: which version, what it believes about ranks, nothing downloaded behind our back."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

from yoloscale.system.variables import ULTRALYTICS_RANK

OLDEST, NEWEST = (8, 4, 190), (8, 5)  # as in pyproject.toml; the adapter borrows internals, so it names its range


def check_version() -> None:
    """Raise RuntimeError if the installed Ultralytics is outside the range the adapter was written for."""
    installed = tuple(int(part) for part in version("ultralytics").split(".")[:3] if part.isdigit())
    if not OLDEST <= installed < NEWEST:
        needs = ">={}.{}.{},<{}.{}".format(*OLDEST, *NEWEST)
        raise RuntimeError(f"ultralytics {version('ultralytics')} is installed, yoloscale needs {needs}")


def prepare(world_size: int, allow_pickle: bool) -> None:
    """Set what Ultralytics and cuBLAS read once; call before the first import of another `yoloscale.yolo` module.

    At world size 1 it must not see torchrun's variables, or it takes part in collectives of a group that does not
    exist. Weights are read by its allow-list loader unless the person asked for full unpickling.
    """
    check_version()
    if world_size == 1:
        for name in ULTRALYTICS_RANK:
            os.environ.pop(name, None)
    # two workspaces of a fixed size, without which cuBLAS may sum in another order: read when a GPU is first used
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ["ULTRALYTICS_SAFE_LOAD"] = "false" if allow_pickle else "true"
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")  # a rank installs no packages
    os.environ.setdefault("YOLO_OFFLINE", "true")  # nor does it look for updates


def check_ranks(rank: int, world_size: int, local_rank: int) -> None:
    """Raise RuntimeError unless Ultralytics has read at its import who this rank is; it gathers by what it read.

    It has not where something imported it before `prepare`, or before the rank's variables were set.
    """
    from ultralytics import utils

    expected = (rank, local_rank, world_size) if world_size > 1 else (-1, -1, 1)
    belief = (utils.RANK, utils.LOCAL_RANK, utils.WORLD_SIZE)
    if belief != expected:
        sentence = f"Ultralytics takes this process for rank, local rank and world size {belief}, it is {expected}"
        raise RuntimeError(f"{sentence}: it was imported before its variables were set")


def keep_offline() -> None:
    """Let fonts be found but not downloaded: a compute node without internet must not wait for a time-out."""
    from ultralytics.data import utils as data_utils
    from ultralytics.utils import USER_CONFIG_DIR, plotting

    def local_font(font: str = "Arial.ttf") -> Path | None:
        file = Path(USER_CONFIG_DIR) / Path(font).name
        return file if file.exists() else None

    for module in (data_utils, plotting):
        module.check_font = local_font  # type: ignore[attr-defined]  # a name both import
