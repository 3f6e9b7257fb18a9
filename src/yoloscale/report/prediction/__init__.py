"""What a prediction has found: counts, histograms and a sheet of pictures, from its parts alone."""
