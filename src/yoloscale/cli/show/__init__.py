"""What the terminal shows of a run, a sweep or a benchmark. Starts and changes nothing."""
