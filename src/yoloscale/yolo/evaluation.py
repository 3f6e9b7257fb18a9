"""The evaluations of a training with Ultralytics' validators, with the numbers that one process would get."""

from __future__ import annotations

import json
from copy import copy
from pathlib import Path
from typing import Any

from ultralytics.nn.autobackend import AutoBackend

from yoloscale.distributed import group
from yoloscale.distributed.environment import Ranks
from yoloscale.distributed.heartbeat import HEARTBEAT, PREPARING
from yoloscale.yolo.evaluation_pass import BATCH, loader_of, put_together, run_batches, share
from yoloscale.yolo.numerics import full_precision
from yoloscale.yolo.weights import published


class UltralyticsEvaluation:
    """`engine.protocols.Evaluation` for one validation set.

    Args:
        trainer: from `parts.make_trainer`, with `data` and `args`.
        dataset: the validation set, built with batches of `BATCH`.
        workers: loader processes of this rank.
    """

    def __init__(self, trainer: Any, dataset: Any, ranks: Ranks, workers: int) -> None:
        self._trainer, self._ranks, self.dataset = trainer, ranks, dataset
        self._share = share(len(dataset), BATCH, ranks)
        pin_memory = trainer.device.type == "cuda"
        trainer.test_loader = loader_of(dataset, BATCH, self._share, workers=workers, pin_memory=pin_memory)

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

    def _pass(self, validator: Any, model: Any, with_loss: bool) -> list[tuple[int, dict[str, float]]]:
        """Run this rank's batches through the validator; returns images and losses of each."""
        self._trainer.validator = validator
        return run_batches(validator, model, self._share, with_loss=with_loss)

    def _finish(self, validator: Any, batches: list[tuple[int, dict[str, float]]]) -> dict[str, float]:
        """Collective. Put the shares together on rank 0, compute there, tell all."""
        metrics: dict[str, float] = {}
        losses = put_together(validator, self._share, batches)
        if losses is not None:
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
