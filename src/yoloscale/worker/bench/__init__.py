"""The programs of one rank that measure."""
