"""The programs of one rank that measure; what comes of it is told by `bench`, for the launcher."""
