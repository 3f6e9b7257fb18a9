"""From what was typed as `source=` to the manifest: what each source is, and everything that it holds, in order.

Sources come in the order typed; what is below a folder or matches a glob by the bytes of its path; a list, an archive
and a video in their own order. The manifest is made once, by the launcher: what comes into a folder later is not in it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from yoloscale.errors import ConfigError, Problem
from yoloscale.manifest.expansion import Expansion
from yoloscale.manifest.kinds import kind_of
from yoloscale.manifest.table import Entry, write_entries
from yoloscale.system.remarks import Say

_SAY_EVERY_S = 10.0
_SAY_EVERY = 1_000  # images


@dataclass(frozen=True)
class Written:
    """What a manifest was made of."""

    images: int  # rows: images and frames


def write(sources: Sequence[str], to: Path, *, column: str, vid_stride: int, base: Path, say: Say) -> Written:
    """Write the manifest of these sources to the file `to`, whole or not at all; the memory does not grow with it.

    `column`: of .csv and .parquet lists; `vid_stride`: every so manyth frame of a video; `base`: the folder that
    relative paths are below. `say` is told how far it is. The launcher calls it, once. Raises ConfigError with all
    problems of the sources, and OSError where the disk does not take the file.
    """
    if not sources:
        raise ConfigError(Problem("source", "there is none", "write source=images/ or another folder, file or list"))
    sources = [os.path.expanduser(source) for source in sources]  # noqa: PTH111  # a Path drops `./`
    looks = [kind_of(source, os.fspath(base)) for source in sources]
    if problems := [look for look in looks if isinstance(look, Problem)]:
        raise ConfigError(problems)
    expansion = Expansion(os.fspath(base), column, vid_stride, say)
    return Written(write_entries(_told(expansion.all_of(sources), say), to))


def _told(entries: Iterator[Entry], say: Say) -> Iterator[Entry]:
    """The entries; now and then it is said how many there were."""
    said_at = time.monotonic()
    for number, entry in enumerate(entries):
        if number % _SAY_EVERY == 0 and time.monotonic() - said_at >= _SAY_EVERY_S:
            said_at = time.monotonic()
            say(f"{number:,} images so far")
        yield entry
