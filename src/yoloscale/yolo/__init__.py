"""The adapter: the only package that imports ultralytics. One module per thing that is borrowed; no training loop."""
