"""The interface of a tracker: somebody besides the run directory who is told how a run goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunFacts:
    """What a tracker is told of the run that it shows.

    Args:
        identity: the same on every start of the run, on any node, so that a tracker goes on with what it began.
        settings: the whole frozen config, without secrets.
        group: what the run belongs to: its sweep.
        from_agent: the variables by which W&B's agent ties a run to its sweep, if it has started the run.
        node: of how many nodes this is which one, from 0.
        warn: takes a sentence for people.
        found_at: takes the name of a tracker and the address at which it shows the run.
    """

    folder: Path
    name: str
    identity: str
    settings: Mapping[str, Any]
    group: str | None = None
    from_agent: Mapping[str, str] = field(default_factory=dict)
    node: int = 0
    nodes: int = 1
    warn: Callable[[str], None] = print
    found_at: Callable[[str, str], None] = print


@dataclass(frozen=True)
class Artifact:
    """A file of a run as something with a name and versions."""

    path: Path
    name: str
    aliases: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Tracker:
    """One destination. What it has no use for is left as it is here: nothing happens.

    All methods are called from one thread, which is not that of the training loop, so they may take their time. What
    they raise is a warning, and the end of this tracker; never of the run.
    """

    takes_models = False
    """Whether `uses` and `artifact` are to be called, whose arguments take time to be made."""

    def log(self, values: Mapping[str, float], step: int, *, is_epoch: bool) -> None:
        """Numbers after `step` optimiser steps, of a step or of a whole epoch.

        No step comes twice, and an epoch only with metrics that it did not have before.
        """

    def media(self, images: Mapping[str, Path], step: int) -> None:
        """Pictures, by the name under which they are shown."""

    def summary(self, values: Mapping[str, Any]) -> None:
        """What the run came to: the numbers that it is compared by."""

    def uses(self, name: str, digest: str, metadata: Mapping[str, Any]) -> None:
        """The data set that the run was trained on, by its fingerprint; no image is sent."""

    def artifact(self, artifact: Artifact) -> None:
        """A model that the run has made."""

    def alert(self, title: str, text: str) -> None:
        """Something that a person who does not look should know of."""

    def close(self, exit_code: int) -> None:
        """The end of this start of the run: 0 finished, 75 to be continued, else failed."""
