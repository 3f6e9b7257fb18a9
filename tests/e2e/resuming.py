"""A run that was stopped and resumed beside one that never was."""

from __future__ import annotations

from typing import Any


def stop_and_resume(yoloscale: Any, *arguments: str, ranks: int) -> tuple[Any, Any]:
    """The whole run and the resumed one, both with `debug.trace`; the second was stopped amid its first epoch."""
    given = (*arguments, "debug.trace=true")
    whole = yoloscale.train("whole", *given, ranks=ranks)
    process = yoloscale.start_training("stopped", *given, ranks=ranks)
    yoloscale.until(process, "stopped", 3)
    process.terminate()
    stopped = yoloscale.finish(process, "stopped", 75, timeout_s=200)
    done = len(stopped.trace)  # read now: the folder is the resumed run's, too
    assert done < len(whole.trace), "it was over before it was stopped: train for longer"
    resumed = yoloscale.resume("stopped")
    assert [line["step"] for line in resumed.trace] == [line["step"] for line in whole.trace]
    return whole, resumed
