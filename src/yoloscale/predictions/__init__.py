"""What was found in images, as files: parts, claims, summaries, views without torch; no models, no images."""
