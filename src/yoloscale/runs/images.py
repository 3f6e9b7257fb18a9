"""How many images of a run that predicts or evaluates are done, and how fast: from what its ranks write. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RECENT_S = 60.0  # a rank that works writes more often; one that has said nothing for so long is gone, or has ended

Writer = tuple[object, object, object]


@dataclass
class Images:
    """Images of a run: `total` of them, `done` whoever did them, `before` when the newest attempt began.

    Ranks write a line of metrics.jsonl each for itself, and come and go: the line that tells of most images is the
    newest truth, as a part that is there stays there. Their paces add up.
    """

    total: int = 0
    done: int = 0
    before: int = 0
    paces: dict[Writer, tuple[float, float]] = field(default_factory=dict)  # time of the line, images/s

    def begin(self, total: int, done: int, *, keeps: bool = True) -> None:
        """The set-up of an attempt is over. `keeps`: what was done before it stays done, as parts do."""
        self.total, self.done, self.before = total, max(done, self.done) if keeps else done, done
        self.paces = {}

    def take(self, record: Mapping[str, Any]) -> None:
        """One line of metrics.jsonl of kind `progress`."""
        self.total = int(record.get("images") or self.total)
        self.done = max(self.done, int(record.get("images_done") or 0))
        writer = (record.get("host"), record.get("pid"), record.get("rank"))
        self.paces[writer] = float(record.get("time") or 0.0), float(record.get("images_per_s") or 0.0)

    @property
    def per_s(self) -> float | None:
        """Images a second of all ranks that have said something lately; None before any has."""
        newest = max((time for time, _ in self.paces.values()), default=0.0)
        return sum(pace for time, pace in self.paces.values() if newest - time <= RECENT_S) or None

    @property
    def fraction(self) -> float:
        """Share that is done, 0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    def left_s(self, elapsed_s: float) -> float | None:
        """Seconds to the end at the pace of the newest attempt, which began so many seconds ago; None without one."""
        own = self.done - self.before
        return elapsed_s / own * (self.total - self.done) if own > 0 and elapsed_s > 0 else None
