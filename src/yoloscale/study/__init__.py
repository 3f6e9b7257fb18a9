"""The study of a search, which its launchers and its ranks share. Which points it has is up to `sweep.search`."""
