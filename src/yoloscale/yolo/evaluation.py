"""Evaluation with Ultralytics' validators, sharded over ranks, with the numbers that one process would get.

Every rank takes a run of consecutive batches of 16 images, as `yolo val` does (single images, if there are no more than
16), and the statistics are put together in the order of the images.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from copy import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from ultralytics.data.build import ContiguousDistributedSampler
from ultralytics.nn.autobackend import AutoBackend

from yoloscale.data.loader import start_worker
from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.heartbeat import EVALUATING, HEARTBEAT, MEASURING, PREPARING
from yoloscale.distributed.peers import PEERS
from yoloscale.yolo.numerics import full_precision, untuned
from yoloscale.yolo.plots import wait as plots_drawn
from yoloscale.yolo.weights import published

BATCH = 16  # images; rectangular batches depend on it, so it is `yolo val`'s default and not a setting


class UltralyticsEvaluation:
    """`engine.protocols.Evaluation` for one validation set.

    Args:
        trainer: from `parts.make_trainer`, with `data` and `args`.
        dataset: the validation set, built with batches of `BATCH`.
        workers: loader processes of this rank.
    """

    def __init__(self, trainer: Any, dataset: Any, ranks: Ranks, workers: int) -> None:
        self._trainer, self._ranks, self.dataset = trainer, ranks, dataset
        sampler = ContiguousDistributedSampler(
            dataset, num_replicas=ranks.world_size, rank=ranks.rank, batch_size=BATCH
        )
        self._loader = DataLoader(
            dataset,
            batch_size=BATCH,
            sampler=sampler,
            num_workers=workers,
            worker_init_fn=start_worker,
            collate_fn=getattr(dataset, "collate_fn", None),
            pin_memory=trainer.device.type == "cuda",
            persistent_workers=False,
        )
        trainer.test_loader = self._loader

    def __call__(self, module: Any) -> dict[str, float]:
        validator = self._validator(plots=False)
        validator.training = True
        if hasattr(module, "end2end"):
            module.end2end = validator.args.nms is False
        with full_precision():
            losses = self._pass(validator, module.eval(), with_loss=True)
        return self._finish(validator, losses)

    def final(self, weights: Path, plots: bool) -> dict[str, float]:
        """Collective. Metrics of a published `.pt`, as `YOLO(weights).val()` computes them, but for TF32.

        Draws the plots, and does what `augment`, `save_txt`, `save_conf` and `visualize` ask for: these are no matter
        of the evaluations between epochs, whose files this one would replace.
        """
        model = AutoBackend(
            model=published(weights),
            device=self._trainer.device,
            fp16=False,
            channels_last=self._trainer.args.channels_last,
            end2end=self._trainer.args.nms is False,
            verbose=False,
        )
        validator = self._validator(plots=plots, is_final=True)
        validator.training = False
        validator.stride = model.stride
        with full_precision():
            losses = self._pass(validator, model.eval(), with_loss=False)
        return self._finish(validator, losses)

    def _validator(self, plots: bool, is_final: bool = False) -> Any:
        HEARTBEAT.at(PREPARING)
        args = copy(self._trainer.args)
        args.plots, args.compile, args.batch = plots, False, BATCH
        if not is_final:
            args.augment = args.save_txt = args.visualize = False
        self._trainer.args, before = args, self._trainer.args
        validator = self._trainer.get_validator()
        self._trainer.args = before
        validator.device, validator.data = self._trainer.device, self._trainer.data
        validator.args.quantize = None  # full precision: the published numbers do not depend on the training precision
        return validator

    @untuned()
    @torch.inference_mode()
    def _pass(self, validator: Any, model: nn.Module, with_loss: bool) -> dict[str, float]:
        """Run this rank's batches through the validator; returns the mean losses over the batches of all ranks."""
        self._trainer.validator = validator
        validator.run_callbacks("on_val_start")
        # with save_txt it removes the files of a start before this one, and no rank goes on until it has
        with PEERS.waiting() if validator.args.save_txt and self._ranks.world_size > 1 else nullcontext():
            validator.init_metrics(model)
        augment = {"augment": True} if validator.args.augment else {}
        validator.jdict = []
        sums: dict[str, float] = {}
        images = 0
        HEARTBEAT.at(EVALUATING)
        for number, batch in enumerate(self._loader):
            HEARTBEAT.at(EVALUATING)  # each batch is a sign of life
            validator.run_callbacks("on_val_batch_start")
            validator.batch_i = number
            batch = validator.preprocess(batch)
            predictions = model(batch["img"], **augment)
            if with_loss:
                count = len(batch["img"])
                images += count
                for name, value in model.loss(batch, predictions)[1].items():  # type: ignore[operator]
                    sums[name] = sums.get(name, 0.0) + float(value) * count
            predictions = validator.postprocess(predictions)
            validator.update_metrics(predictions, batch)
            if validator.args.plots and number < 3 and self._ranks.is_first:
                validator.plot_val_samples(batch, number)
                validator.plot_predictions(batch, predictions, number)
            if validator.args.plots and validator.args.visualize:
                plots_drawn()  # a thread and an image each
            validator.run_callbacks("on_val_batch_end")
        shares = group.gather_objects((images, sums))
        total = sum(count for count, _ in shares)
        names = next((list(part) for _, part in shares if part), [])
        return {name: sum(part.get(name, 0.0) for _, part in shares) / total for name in names}

    def _finish(self, validator: Any, losses: dict[str, float]) -> dict[str, float]:
        """Collective. Put the shards together on rank 0, compute there, tell all."""
        with PEERS.waiting():
            validator.gather_stats()
        metrics: dict[str, float] = {}
        HEARTBEAT.at(MEASURING)
        if self._ranks.is_first:
            stats = validator.get_stats()
            if not validator.training and validator.args.save_json and validator.jdict:
                file = validator.save_dir / "predictions.json"
                file.write_text(json.dumps(validator.jdict), encoding="utf-8")
                stats = validator.eval_json(stats)  # COCO and LVIS: the numbers of their own tools
            metrics = {name: float(value) for name, value in stats.items()}
            validator.finalize_metrics()
            validator.print_results()
            validator.run_callbacks("on_val_end")
            metrics |= {f"val/{name}": value for name, value in losses.items()}
        return group.broadcast_object(metrics)
