"""The training loop and what it consists of; model, data and evaluation are Protocols here, and at home elsewhere."""
