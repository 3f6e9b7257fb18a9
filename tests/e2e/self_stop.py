"""A run that stops itself by a signal, at the same step on any machine."""

from __future__ import annotations

from pathlib import Path

_MODULE = """
import os
import signal
from pathlib import Path

def stop(trainer):
    done = Path(__file__).with_name("stopped")
    if os.environ.get("RANK", "0") == "0" and not done.exists():
        done.touch()
        os.kill(os.getpid(), signal.SIGTERM)
"""


def arguments(folder: Path) -> tuple[str, str]:
    """Arguments of a run whose rank 0 gets SIGTERM after its first micro-batch: it ends after the step of that one, or
    where that was the last of the step, after the second. It goes on undisturbed when it is resumed.

    `folder`: for a module of its own; not there yet.
    """
    folder.mkdir()
    (folder / "self_stop_hooks.py").write_text(_MODULE)
    return "callbacks=[on_train_batch_end=self_stop_hooks:stop]", f"paths.code={folder}"
