"""Random numbers as functions of what they are for, so that no generator state has to travel or be saved."""

from __future__ import annotations

import random
from hashlib import blake2b

import numpy as np
import torch


def derive(*parts: int | str) -> int:
    """A 63-bit seed that depends on every part and on nothing else (BLAKE2b, so the same on every machine)."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def seed_host(seed: int) -> None:
    """Seed the generators that augmentation draws from: random, numpy.random and torch's on the CPU."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)


def seed_all(seed: int) -> None:
    """Seed every generator that a forward pass draws from: those of the host, and the GPU's."""
    seed_host(seed)
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.manual_seed(seed)
