"""What a run is frozen with, read once: to compare with, to see whether it is still so, and to freeze it so again."""

from __future__ import annotations

import json
from dataclasses import dataclass

from yoloscale.config.freeze import absent, load
from yoloscale.config.plan import describe, is_automatic
from yoloscale.config.schema import Config, RunConfig
from yoloscale.config.topology import differences
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.files import content_of, write_whole


@dataclass(frozen=True)
class FrozenState:
    """The config of a run and the bytes of its file; what had been typed for it, None without such a file."""

    config: RunConfig
    content: bytes
    typed: bytes | None

    @classmethod
    def of(cls, run: RunDirectory) -> FrozenState:
        """As the run is frozen now. Raises ConfigError where there is no run, or a damaged config."""
        if (content := content_of(run.config)) is None:
            raise absent(run.config)
        return cls(load(run.config, content, of=RunConfig), content, content_of(run.overrides))

    @classmethod
    def now(cls, run: RunDirectory, seen: FrozenState | None = None) -> FrozenState | None:
        """As the run is frozen now, read again only if that is not as it was `seen`; None where there is no run."""
        if (content := content_of(run.config)) is None:
            return None
        is_as_seen = seen is not None and content == seen.content
        return seen if is_as_seen else cls(load(run.config, content, of=RunConfig), content, content_of(run.overrides))

    def restore(self, run: RunDirectory) -> None:
        """Freeze the run so again, where it has been moved since and could not be started; the caller has its lock."""
        if self.content == run.config.read_bytes():
            return
        run.check()
        changes = differences(load(run.config, of=RunConfig), self.config)
        if self.typed is not None:
            write_whole(run.overrides, self.typed.decode())
        write_whole(run.config, self.content.decode(), synced=True)
        if changes:
            before, now = ({key: json.loads(values[side]) for key, *values in changes} for side in (0, 1))
            is_sized = isinstance(self.config, Config) and is_automatic(self.config.batch)
            words = "" if is_sized else describe(self.config)
            events.append(run, events.Moved(from_=before, to=now, plan=words, remarks=()))
