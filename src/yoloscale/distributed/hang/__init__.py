"""Ranks that wait for a rank which does not come: found by what each says of itself, named, and released."""
