"""From the words of a command line to one config: Hydra, and what a `yolo` user types. No check of what a run can do."""
