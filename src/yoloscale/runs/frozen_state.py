"""What a run is frozen with, kept to freeze it so again where a start came to nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass

from yoloscale.config.freeze import load
from yoloscale.config.plan import describe, is_automatic
from yoloscale.config.topology import differences
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.files import write_whole


@dataclass(frozen=True)
class FrozenState:
    """What a run was frozen with and what had been typed for it; None without such a file."""

    config: str | None
    typed: str | None

    @classmethod
    def of(cls, run: RunDirectory) -> FrozenState:
        """As the run is frozen now."""
        config, typed = (
            path.read_text(encoding="utf-8") if path.exists() else None for path in (run.config, run.overrides)
        )
        return cls(config, typed)

    def restore(self, run: RunDirectory) -> None:
        """Freeze the run so again, where it has been moved since and could not be started; the caller has its lock."""
        if self.config is None or self.config == run.config.read_text(encoding="utf-8"):
            return
        run.check()
        left = load(run.config)
        if self.typed is not None:
            write_whole(run.overrides, self.typed)
        write_whole(run.config, self.config, synced=True)
        found = load(run.config)
        if changes := differences(left, found):
            before, now = ({key: json.loads(values[side]) for key, *values in changes} for side in (0, 1))
            words = describe(found) if not is_automatic(found.batch) else ""
            events.append(run, events.Moved(from_=before, to=now, plan=words, remarks=()))
