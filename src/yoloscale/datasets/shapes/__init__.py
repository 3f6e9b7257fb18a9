"""The built-in dataset of rendered shapes: a data.yaml with images and labels like any other once it is there."""
