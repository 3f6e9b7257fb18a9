"""`python -m yoloscale.yolo.timed_cli train|predict key=value …`: the `yolo` command, with a clock in its loop.

Everything between here and the loop is Ultralytics' own: its command line, its model class, its trainer or predictor.
The callbacks are added to its defaults, which every model takes a copy of.
"""

from __future__ import annotations

import sys

from ultralytics.cfg import entrypoint
from ultralytics.utils.callbacks import default_callbacks

from yoloscale.yolo import prediction_clock, training_clock


def main() -> None:
    """Run the command line in sys.argv, as `yolo` does."""
    if "predict" in sys.argv:
        sys.argv[0] = "yolo"  # by its name Ultralytics knows that nobody takes the results, and keeps none of them
    for event, callback in {**training_clock.CALLBACKS, **prediction_clock.CALLBACKS}.items():
        default_callbacks[event].append(callback)
    entrypoint()


if __name__ == "__main__":
    main()
