"""A run that was stopped and resumed beside one that never was."""

from __future__ import annotations

from typing import Any

from tests.e2e import self_stop


def stop_and_resume(yoloscale: Any, *arguments: str, ranks: int) -> tuple[Any, Any]:
    """The whole run and the resumed one, both with `debug.trace`; the second was stopped amid its first epoch."""
    given = (*arguments, "debug.trace=true")
    whole = yoloscale.train("whole", *given, ranks=ranks)
    itself = self_stop.arguments(yoloscale.run_of("stopped").path.parents[1] / "hooks")
    stopped = yoloscale.train("stopped", *given, *itself, ranks=ranks, code=75)
    assert 0 < len(stopped.trace) < len(whole.trace)
    resumed = yoloscale.resume("stopped")
    assert [line["step"] for line in resumed.trace] == [line["step"] for line in whole.trace]
    return whole, resumed
