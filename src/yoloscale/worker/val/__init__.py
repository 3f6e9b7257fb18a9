"""The program of one rank of an evaluation; how models are evaluated is in `yolo`."""
