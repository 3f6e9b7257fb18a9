"""Whether a config makes sense: every problem of it, and what has no effect. Changes nothing, asks nobody."""
