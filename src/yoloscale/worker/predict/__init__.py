"""The program of one rank that predicts. Models are at home in `yolo`, parts and claims in `predictions`."""
