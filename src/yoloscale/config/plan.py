"""Batch arithmetic: how the global batch is split over ranks and gathered into optimiser steps.

A run that goes on with other ranks than it was planned for keeps its optimiser steps.
"""

from __future__ import annotations

from dataclasses import dataclass

from yoloscale.config.schema import Config, Device, PredictConfig, RunConfig
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.formatting import counted

_SHOWN = 3  # numbers of ranks that would work, named on either side of the one that does not


@dataclass(frozen=True)
class Split:
    """Ranks, images of each rank's micro-batch, and micro-batches of each rank in one optimiser step."""

    ranks: int
    per_rank: int
    accumulate: int

    def __str__(self) -> str:
        return f"{counted(self.ranks, 'rank')} × {self.per_rank}, accumulate {self.accumulate}"

    @property
    def forward_batch(self) -> int:
        """Images of one forward pass over all ranks."""
        return self.ranks * self.per_rank

    @property
    def step_images(self) -> int:
        """Images of one optimiser step over all ranks."""
        return self.forward_batch * self.accumulate


@dataclass(frozen=True)
class BatchPlan:
    """How an optimiser step is dealt out: `planned` when the run was first started, `actual` on the ranks of now."""

    planned: Split
    actual: Split

    def __str__(self) -> str:
        batch = self.global_batch
        if not self.is_changed:
            return f"global {batch} = {self.actual}"
        total = self.actual.step_images
        images = f"global {batch}" if total == batch else f"global {batch}, {total} a step"
        kept = "same micro-batches" if self.is_exact else "same samples in each step"
        return f"{images} = {self.actual} (planned for {self.planned}: {kept})"

    @property
    def global_batch(self) -> int:
        """Images of one forward pass over the planned ranks: `batch`."""
        return self.planned.forward_batch

    @property
    def is_changed(self) -> bool:
        """Whether the ranks are others than planned."""
        return self.actual != self.planned

    @property
    def is_exact(self) -> bool:
        """Whether every optimiser step consists of the planned micro-batches."""
        return self.actual.per_rank == self.planned.per_rank


def is_automatic(batch: float) -> bool:
    """Whether the batch is to be sized on the GPU: -1, or a share of its memory below 1."""
    return batch == -1 or 0 < batch < 1


def world_size(config: RunConfig) -> int:
    """Ranks of the whole job; `cluster.procs_per_node` must be resolved."""
    assert config.cluster.procs_per_node is not None, "resolve the config first"
    return config.cluster.nodes * config.cluster.procs_per_node


def planned_ranks(config: RunConfig) -> int:
    """Ranks that the batch was split for when the run was first started; before that, those it would start with."""
    return config.cluster.planned_ranks or world_size(config)


def planned_batch(config: Config) -> int | float:
    """The global batch that the optimiser steps were planned with at the first start; below 1: still to be sized."""
    return config.origin.batch or config.batch


def describe(config: RunConfig) -> str:
    """The plan of a resolved and validated config in words, also where the batch is still to be sized on the GPU."""
    if not isinstance(config, Config):
        return _described(config)
    if not is_automatic(config.batch):
        return str(plan(config))
    return f"global batch sized by GPU memory when it starts, over {counted(world_size(config), 'rank')}"


def _described(config: RunConfig) -> str:
    """The plan of a run that predicts or evaluates: any rank may do any part of it."""
    ranks = counted(world_size(config), "rank")
    threads = config.cluster.threads
    of_each = f" × {counted(threads, 'thread')}" if config.cluster.device is Device.cpu and threads else ""
    unit = config.predict.unit if isinstance(config, PredictConfig) else None
    units = "" if unit is None else f", units of {counted(unit, 'image')}"
    return f"{ranks}{of_each}{units}"


def plan(config: Config, *, ranks: int | None = None, batch: int | None = None) -> BatchPlan:
    """Deal out an optimiser step of a resolved config.

    Args:
        ranks: that take part; None: those of the config.
        batch: the planned global batch, a multiple of the planned ranks; None: that of the config, which then is one.

    Raises:
        ConfigError: the step does not divide over these ranks; it names numbers of ranks that work.
    """
    planned, ranks = _planned(config, batch), world_size(config) if ranks is None else ranks
    if config.origin.batch is not None and config.batch != planned.forward_batch:
        return BatchPlan(planned, _rebatched(config, planned, ranks))
    actual = _deal(planned, ranks, config.cluster.sync_bn, config.rect)
    if actual is None:
        raise ConfigError(_impossible(config, planned, ranks))
    return BatchPlan(planned, actual)


def difference(config: Config, batch_plan: BatchPlan) -> str | None:
    """What a plan for other ranks than planned changes in the results, as a sentence; None if the ranks are those."""
    if not batch_plan.is_changed:
        return None
    before, now = batch_plan.planned, batch_plan.actual
    if now.ranks == before.ranks:
        return (
            f"micro-batches of {now.per_rank} instead of {counted(before.per_rank, 'image')}: the same samples in each "
            "optimiser step, but batch norm sees groups of that size, so results differ"
        )
    ranks = f"{counted(now.ranks, 'rank')} instead of {before.ranks}"
    statistics = f"batch norm's running statistics, which evaluation reads, are averaged over {ranks}"
    if config.cluster.sync_bn:
        return (
            f"{ranks}: the same samples in each step and in each batch-norm group, in micro-batches of "
            f"{now.per_rank} instead of {before.per_rank}; equal up to the order of floating-point sums"
        )
    if batch_plan.is_exact:
        sums = "gradients are equal up to the order of fp32 sums (cluster.exact_reduce=true would keep their bits)"
        if config.cluster.exact_reduce:
            sums = "gradients are equal bit for bit (cluster.exact_reduce)"
        return f"{ranks}: the same micro-batches in each step; {sums}; {statistics}"
    return (
        f"{ranks}: the same samples in each step, but batch norm sees groups of {counted(now.per_rank, 'image')} "
        f"instead of {before.per_rank}, so results differ; {statistics}"
    )


def _planned(config: Config, batch: int | None) -> Split:
    """The split of the first start. Accumulation is Ultralytics' rule: max(round(nbs / batch), 1)."""
    images, ranks = int(planned_batch(config)) if batch is None else batch, planned_ranks(config)
    assert images >= ranks, "validate the config first"
    assert images % ranks == 0, "validate the config first"
    return Split(ranks, images // ranks, max(round(config.nbs / images), 1))


def _deal(planned: Split, ranks: int, sync_bn: bool, rect: bool) -> Split | None:
    """The planned optimiser step on other ranks; None if it does not divide.

    Whole micro-batches go to other ranks where their number divides. Else the images of the step are cut into the
    largest micro-batches that divide, none larger than planned, as memory was sized for those. SyncBN computes over
    all ranks of a forward pass, so there the forward pass stays what it was. With `rect` the images of a planned batch
    have one shape, so none of the micro-batches lies in two of those.
    """
    if ranks == planned.ranks:
        return planned
    if sync_bn:
        whole, rest = divmod(planned.forward_batch, ranks)
        return None if rest else Split(ranks, whole, planned.accumulate)
    share, rest = divmod(planned.step_images, ranks)
    if rest:
        return None
    sizes = [images for images in range(1, planned.per_rank + 1) if share % images == 0]
    largest = max(images for images in sizes if not rect or planned.forward_batch % images == 0)
    return Split(ranks, largest, share // largest)


def _rebatched(config: Config, planned: Split, ranks: int) -> Split:
    """The planned optimiser step in forward passes of another `batch`. Raises ConfigError if it does not divide."""

    def split(batch: int) -> Split | None:
        per_rank, rest = divmod(batch, ranks)
        share, more = divmod(planned.step_images, ranks)
        if rest or more or per_rank < 1 or share % per_rank:
            return None
        # short forward passes are left out, or a planned batch is of one shape: none may lie in two planned ones
        is_whole = config.compile or config.cluster.sync_bn or config.rect
        return None if is_whole and planned.forward_batch % batch else Split(ranks, per_rank, share // per_rank)

    if (actual := split(int(config.batch))) is not None:
        return actual
    possible = [batch for batch in range(1, planned.step_images + 1) if split(batch) is not None]
    near = sorted(sorted(possible, key=lambda batch: abs(batch - config.batch))[: 2 * _SHOWN])
    instead = f"write batch={', '.join(map(str, near))}" if near else f"go on with {_listed([1, planned.ranks])}"
    step = f"the {planned.step_images} images of an optimiser step (planned for {planned})"
    found = f"forward passes of {int(config.batch)} images do not make up {step} over {counted(ranks, 'rank')}"
    raise ConfigError(Problem("batch", found, instead))


def _impossible(config: Config, planned: Split, ranks: int) -> Problem:
    images = planned.forward_batch if config.cluster.sync_bn else planned.step_images
    what = "a forward pass with cluster.sync_bn" if config.cluster.sync_bn else "an optimiser step"
    divisors = [number for number in range(1, images + 1) if images % number == 0]
    near = [number for number in divisors if number < ranks][-_SHOWN:]
    near += [number for number in divisors if number > ranks][:_SHOWN]
    key = "cluster.procs_per_node" if config.cluster.nodes == 1 else "cluster"
    found = f"the {images} images of {what} (planned for {planned}) do not divide over {ranks} ranks"
    return Problem(key, found, f"go on with {_listed(near)}")


def _listed(ranks: list[int]) -> str:
    *most, last = map(str, ranks)
    words = f"{', '.join(most)} or {last}" if most else last
    return f"{words} rank{'' if words == '1' else 's'}"
