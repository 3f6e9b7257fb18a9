"""`python -m yoloscale.yolo.timed_cli train key=value …`: the `yolo` command, with a clock in its training loop.

Everything between here and the loop is Ultralytics' own: its command line, its model class, its trainer. The callbacks
are added to its defaults, which every model takes a copy of.
"""

from __future__ import annotations

from ultralytics.cfg import entrypoint
from ultralytics.utils.callbacks import default_callbacks

from yoloscale.yolo.training_clock import CALLBACKS


def main() -> None:
    """Run the command line in sys.argv, as `yolo` does."""
    for event, callback in CALLBACKS.items():
        default_callbacks[event].append(callback)
    entrypoint()


if __name__ == "__main__":
    main()
