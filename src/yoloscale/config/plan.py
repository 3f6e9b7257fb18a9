"""Batch arithmetic: how the global batch is split over ranks and gathered into optimiser steps."""

from __future__ import annotations

from dataclasses import dataclass

from yoloscale.config.schema import Config


@dataclass(frozen=True)
class BatchPlan:
    """Images of one forward pass over all ranks, on each rank, and forward passes of one optimiser step."""

    global_batch: int
    world_size: int
    per_rank: int
    accumulate: int

    def __str__(self) -> str:
        ranks = "1 rank" if self.world_size == 1 else f"{self.world_size} ranks"
        return f"global {self.global_batch} = {ranks} × {self.per_rank}, accumulate {self.accumulate}"


def is_automatic(batch: float) -> bool:
    """Whether the batch is to be sized on the GPU: -1, or a share of its memory below 1."""
    return batch == -1 or 0 < batch < 1


def world_size(config: Config) -> int:
    """Ranks of the whole job; `cluster.procs_per_node` must be resolved."""
    assert config.cluster.procs_per_node is not None, "resolve the config first"
    return config.cluster.nodes * config.cluster.procs_per_node


def describe(config: Config) -> str:
    """The plan of a resolved and validated config in words, also where the batch is still to be sized on the GPU."""
    if not is_automatic(config.batch):
        return str(plan(config))
    ranks = world_size(config)
    return f"global batch sized by GPU memory when it starts, over {ranks} rank{'s' if ranks > 1 else ''}"


def plan(config: Config) -> BatchPlan:
    """Split a resolved and validated config's `batch`, a whole number ≥ 1 that divides by the world size.

    Accumulation is Ultralytics' rule: max(round(nbs / batch), 1).
    """
    batch, ranks = int(config.batch), world_size(config)
    assert batch >= ranks, "validate the config first"
    assert batch % ranks == 0, "validate the config first"
    return BatchPlan(
        global_batch=batch,
        world_size=ranks,
        per_rank=batch // ranks,
        accumulate=max(round(config.nbs / batch), 1),
    )
