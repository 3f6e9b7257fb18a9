"""What a run predicts on: sources into a frozen table, its rows into bytes and frames. Images are decoded in `yolo`."""
