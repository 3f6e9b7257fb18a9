from __future__ import annotations

import random

import numpy as np
import torch

from yoloscale.data.seeds import derive, seed_all, seed_host


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_every_part_counts_and_so_does_its_place() -> None:
    seeds = [derive(*parts) for parts in (("a", 1, 2), ("a", 2, 1), ("b", 1, 2), ("a", 12), ("a", 1, 2, 0), ("a1", 2))]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_equal_parts_equal_seeds() -> None:
    assert derive("sample", 0, 3, 17) == derive("sample", 0, 3, 17)


def test_seeding_reaches_all_generators() -> None:
    seed_all(derive("x"))
    first = draw()
    seed_all(derive("x"))
    assert draw() == first
    seed_all(derive("y"))
    assert all(a != b for a, b in zip(draw(), first, strict=True))


def test_a_sample_s_seed_reaches_all_host_generators() -> None:
    seed_host(derive("x"))
    first = draw()
    seed_host(derive("x"))
    assert draw() == first
    seed_all(derive("x"))
    assert draw() == first
    seed_host(derive("y"))
    assert all(a != b for a, b in zip(draw(), first, strict=True))
