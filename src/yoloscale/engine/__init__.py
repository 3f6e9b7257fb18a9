"""The training loop and what it consists of; it sees model, data and evaluation through Protocols."""
