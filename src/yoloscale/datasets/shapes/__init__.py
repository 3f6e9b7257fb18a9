"""The built-in dataset of rendered shapes."""
