"""Who is told how a run goes, besides its own files: TensorBoard, W&B, MLflow; and results.csv. Decides nothing."""
