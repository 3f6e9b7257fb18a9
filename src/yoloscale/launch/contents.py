"""What a run folder holds before any rank starts: of a run that predicts, all its images in their order."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from yoloscale.config.locations import working_folder
from yoloscale.config.schema import PredictConfig, RunConfig
from yoloscale.errors import ConfigError, Problem
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.remarks import Say

FEWEST, MOST = 16, 1024  # images of a unit: fewer are small files, more are much work to lose
UNITS = 64  # of a run: enough to keep several nodes busy to the end

_Run = TypeVar("_Run", bound=RunConfig)


def with_contents(config: _Run, run: RunDirectory, say: Say) -> _Run:
    """Write what a run of this kind begins with into its folder, once; the config with what that tells.

    The caller has the run's lock, and freezes the config afterwards. Raises ConfigError: no images, an unreadable list.
    """
    if not isinstance(config, PredictConfig):
        return config
    from yoloscale.manifest.sources import write

    written = write(
        config.source,
        run.manifest,
        column=config.predict.column,
        vid_stride=config.vid_stride,
        base=working_folder(config.origin),
        say=say,
    )
    unit = config.predict.unit or unit_of(written.images)
    section = replace(config.predict, unit=unit)
    return replace(config, predict=section, origin=replace(config.origin, images=written.images))


def unit_of(images: int) -> int:
    """Images of a unit where nobody says: a power of two, by the number of images alone, whatever the ranks."""
    return min(max(FEWEST, 1 << (max(images // UNITS, 1).bit_length() - 1)), MOST)


def refuse_lost_contents(config: RunConfig, run: RunDirectory) -> None:
    """Raise ConfigError where what a run began with is gone: its parts are numbered by it."""
    if isinstance(config, PredictConfig) and not run.manifest.is_file():
        found = f"{run.manifest.name}, the list of its images, is gone from run {run.name!r}"
        raise ConfigError(Problem("source", found, "put it back, or give another name="))
