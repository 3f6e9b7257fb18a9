"""Ranks that wait for one which does not come: found by what each says of itself, named, released; not restarted."""
