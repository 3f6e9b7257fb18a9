"""From the words of a command line to one config: by Hydra, and as a `yolo` user types. Checks no run."""
