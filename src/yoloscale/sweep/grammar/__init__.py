"""How the points of a sweep are written, and which they are. Freezes and starts nothing."""
