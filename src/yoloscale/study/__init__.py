"""The study of a search, which its launchers and its ranks share."""
