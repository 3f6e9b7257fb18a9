"""The program of one rank that trains: what it consists of, in which order. The loop is in `engine`."""
