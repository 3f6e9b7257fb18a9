"""Who is told how a run goes, besides its own files: TensorBoard, Weights & Biases; and results.csv."""
