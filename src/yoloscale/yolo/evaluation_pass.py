"""A pass of all ranks over a set of images with a validator of Ultralytics: the numbers of one process, on any ranks.

The set's batches are fixed, as if one process went through it. Each rank takes whole batches that follow each other,
and what the validators have kept is put together on rank 0 in the order of the images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, default_collate

from yoloscale.data import room
from yoloscale.data.loader import start_worker
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.heartbeat import EVALUATING, HEARTBEAT, MEASURING
from yoloscale.distributed.peers import PEERS
from yoloscale.yolo.numerics import unhurried, untuned
from yoloscale.yolo.ordered_sums import in_order, means
from yoloscale.yolo.plots import wait as plots_drawn
from yoloscale.yolo.validation_statistics import statistics_of

BATCH = 16  # images; rectangular batches depend on it, so it is `yolo val`'s default and not a setting of a training
DRAWN = 3  # batches, from the first one
STAGES = ("preprocess", "inference", "postprocess")  # of a batch, as Ultralytics times them


@dataclass(frozen=True)
class Share:
    """The batches of one rank.

    Args:
        first: number of its first batch within the whole set, from 0.
        images: their numbers.
        rounds: batches that the rank with the most of them has.
    """

    first: int
    images: range
    rounds: int


def share(images: int, batch: int, ranks: Ranks) -> Share:
    """Whole batches that follow each other; the first ranks have one more where they do not divide. Pure."""
    batches = -(-images // batch)
    each, more = divmod(batches, ranks.world_size)
    first = ranks.rank * each + min(ranks.rank, more)
    end = first + each + (ranks.rank < more)
    return Share(first, range(min(first * batch, images), min(end * batch, images)), each + bool(more))


def loaders_of(dataset: Any, batch: int, wanted: int, ranks: Ranks) -> tuple[int, str | None]:
    """Loader processes of this rank, at most as many as wanted, as its CPUs and its node's memory have room for.

    Returns their number, and a sentence where memory allows less than the CPUs.
    """
    workers = max(min(wanted, ranks.cpu_share), 0)
    if not workers or not len(dataset):
        return 0, None
    collate = getattr(dataset, "collate_fn", None) or default_collate
    most = room.Loading(workers, 0, batch * room.size_of(collate([dataset[0]])))
    free = room.room_of_rank(ranks.local_world_size)
    fitting = room.fit(most, free)
    return fitting.workers, room.difference(most, fitting, free)


def loader_of(dataset: Any, batch: int, part: Share, *, workers: int, pin_memory: bool) -> DataLoader[Any]:
    """The batches of one rank, in their order; its `sampler` is what Ultralytics asks for the images' numbers."""
    return DataLoader(
        dataset,
        batch_size=batch,
        sampler=part.images,
        num_workers=workers,
        worker_init_fn=start_worker,
        collate_fn=getattr(dataset, "collate_fn", None),
        pin_memory=pin_memory,
        persistent_workers=False,
    )


def nothing_between(images: int) -> None:
    """What a pass does between its rounds if it is not told otherwise."""


@untuned()
@unhurried()
@torch.inference_mode()
def run_batches(
    validator: Any,
    model: nn.Module,
    part: Share,
    *,
    with_loss: bool,
    clocks: Sequence[AbstractContextManager[Any]] = (nullcontext(),) * len(STAGES),
    between: Callable[[int], None] = nothing_between,
) -> list[tuple[int, dict[str, float]]]:
    """Run this rank's batches through the validator, whose `dataloader` has them; returns images and losses of each.

    Args:
        clocks: entered around each of `STAGES`.
        between: called after every round with the images that this rank had in it; on all ranks as often, so it may be
            collective.
    """
    statistics = statistics_of(validator)
    validator.run_callbacks("on_val_start")
    # with save_txt it removes the files of a start before this one, and no rank goes on until it has
    with PEERS.waiting() if validator.args.save_txt and group.is_joined() else nullcontext():
        validator.init_metrics(model)
    statistics.begin(validator)
    validator.jdict = []
    losses: list[tuple[int, dict[str, float]]] = []
    HEARTBEAT.at(EVALUATING)
    batches = iter(validator.dataloader)
    for number in range(part.first, part.first + part.rounds):
        HEARTBEAT.at(EVALUATING)  # each batch is a sign of life
        batch = next(batches, None)
        if batch is not None:
            losses.append(_run_batch(validator, model, batch, number, with_loss, clocks))
        between(0 if batch is None else losses[-1][0])
    if validator.args.plots:
        plots_drawn()
    return losses


def _run_batch(
    validator: Any,
    model: nn.Module,
    batch: dict[str, Any],
    number: int,
    with_loss: bool,
    clocks: Sequence[AbstractContextManager[Any]],
) -> tuple[int, dict[str, float]]:
    """As Ultralytics' own loop has it; images and mean losses of the batch."""
    preprocessing, inference, postprocessing = clocks
    augment = {"augment": True} if validator.args.augment else {}
    losses: dict[str, float] = {}
    validator.run_callbacks("on_val_batch_start")
    validator.batch_i = number
    with preprocessing:
        batch = validator.preprocess(batch)
    with inference:
        predictions = model(batch["img"], **augment)
    count = len(batch["img"])
    if with_loss:
        parts: dict[str, Any] = model.loss(batch, predictions)[1]  # type: ignore[operator]
        losses = {name: float(value) for name, value in parts.items()}
    with postprocessing:
        predictions = validator.postprocess(predictions)
    validator.update_metrics(predictions, batch)
    if validator.args.plots and number < DRAWN:
        validator.plot_val_samples(batch, number)
        validator.plot_predictions(batch, predictions, number)
    if validator.args.plots and validator.args.visualize:
        plots_drawn()  # a thread and an image each
    validator.run_callbacks("on_val_batch_end")
    return count, losses


def put_together(
    validator: Any, part: Share, losses: Sequence[tuple[int, dict[str, float]]]
) -> dict[str, float] | None:
    """Collective. Let the validator of rank 0 have the statistics of all; its mean losses there, elsewhere None."""
    statistics = statistics_of(validator)
    shares = group.gather_to_first((part.first, (statistics.take(validator), list(losses))))
    HEARTBEAT.at(MEASURING)
    if shares is None:
        return None
    ordered = in_order(shares)
    statistics.put(validator, [taken for taken, _ in ordered])
    return means([batch for _, of_rank in ordered for batch in of_rank])
