"""Model, loss and optimiser of a task, lent to the engine."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import nn
from torch.optim import Optimizer
from ultralytics.utils import LOGGER
from ultralytics.utils.checks import check_imgsz
from ultralytics.utils.torch_utils import attempt_compile

from yoloscale.config.schema import Task
from yoloscale.data.seeds import derive, seed_all
from yoloscale.yolo.messages import CHOSEN
from yoloscale.yolo.numerics import be_deterministic
from yoloscale.yolo.tasks import adapter_of


class UltralyticsLearner:
    """`engine.protocols.Learner` around an Ultralytics model, built by its task trainer.

    Args:
        trainer: from `parts.make_trainer`, with its `data` set.
    """

    def __init__(self, trainer: Any, task: Task, rtdetr: bool, seed: int, channels_last: bool) -> None:
        self.reduction: Literal["sum", "mean"] = adapter_of(task, rtdetr).reduction
        self._trainer = trainer
        seed_all(derive("model", seed))  # the same initial weights on every rank
        if trainer.args.deterministic:
            be_deterministic(compiles=bool(trainer.args.compile))
        trainer.setup_model()
        module: nn.Module = trainer.model.to(trainer.device)
        if channels_last:
            module = module.to(memory_format=torch.channels_last)
        trainer.model = self.module = module
        trainer.set_model_attributes()
        module.args = trainer.args
        strides: Any = getattr(module, "stride", torch.tensor([32.0]))
        trainer.stride = stride = max(int(strides.max()), 32)
        trainer.args.imgsz = check_imgsz(trainer.args.imgsz, stride=stride, floor=stride, max_dim=1)  # rounds up
        self._frozen = _freeze(module, trainer.args.freeze)
        self._compiled: nn.Module | None = None
        if trainer.args.compile:
            self._compiled = attempt_compile(module, device=trainer.device, mode=trainer.args.compile)

    @property
    def stride(self) -> int:
        """Largest stride in pixels; image sizes are multiples of it."""
        return int(self._trainer.stride)

    def synchronise_batch_norm(self, group: dist.ProcessGroup | None) -> None:
        """Let batch norms take their statistics over the ranks of `group` (CUDA only). They keep their tensors.

        `group` is theirs alone: their all-reduces happen amid those of the gradients, in an order that differs between
        ranks where the model uses other parameters.
        """
        self.module = self._trainer.model = nn.SyncBatchNorm.convert_sync_batchnorm(self.module, group)

    def prepare_loss(self) -> None:
        """Make the loss now, when the class weights are known, rather than in the first step."""
        if getattr(self.module, "criterion", None) is None:
            model: Any = self.module
            model.criterion = model.init_criterion()

    def preprocess(self, batch: dict[str, Any]) -> dict[str, Any]:
        prepared: dict[str, Any] = self._trainer.preprocess_batch(batch)
        return prepared

    def loss(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        model: Any = self.module
        loss, parts = model.loss(batch, self._compiled(batch["img"])) if self._compiled else model.loss(batch)
        return loss, parts

    def train_mode(self) -> None:
        self.module.train()
        for name, part in self.module.named_modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm) and any(frozen in name for frozen in self._frozen):
                part.eval()

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Set the loss weights that YOLO26's two heads have in this epoch; Ultralytics steps them once per epoch."""
        self._trainer.args.epochs = epochs
        criterion: Any = self.module.criterion
        if hasattr(criterion, "update"):
            criterion.updates = epoch - 1
            criterion.update()

    def build_optimizer(self, images: int, batch: int, accumulate: int, epochs: int) -> Optimizer:
        """Ultralytics' optimiser with its parameter groups; `auto` decides by the number of steps, as it does there.

        What `auto` has decided is put into Ultralytics' log.
        """
        args = self._trainer.args
        is_open = str(args.optimizer).lower() == "auto"
        optimizer: Optimizer = self._trainer.build_optimizer(
            model=self.module,
            name=args.optimizer,
            lr=args.lr0,
            momentum=args.momentum,
            decay=args.weight_decay * batch * accumulate / args.nbs,
            iterations=math.ceil(images / max(batch, args.nbs)) * epochs,
        )
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
            if type(optimizer) in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD):
                group["fused"] = True  # one kernel for all parameters, on CPU too
                group["foreach"] = False
        if is_open:  # Ultralytics has put its choice into the arguments, but for the momentum
            first = optimizer.param_groups[0]
            momentum = first["betas"][0] if "betas" in first else first["momentum"]
            LOGGER.info(f"optimizer {args.optimizer}, lr0 {args.lr0:g}, momentum {momentum:g} {CHOSEN}")
        return optimizer


def _freeze(module: nn.Module, freeze: Any) -> list[str]:
    """Freeze layers as Ultralytics does, `.dfl` always; returns the name parts of frozen layers. Raises ValueError."""
    layers = freeze if isinstance(freeze, list) else range(freeze) if isinstance(freeze, int) else []
    names = [f"model.{layer}." for layer in layers] + [".dfl"]
    for name, parameter in module.named_parameters():
        if parameter.dtype.is_floating_point:
            parameter.requires_grad = not any(frozen in name for frozen in names)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ValueError(f"freeze={freeze} leaves no parameter to train; freeze fewer layers")
    return names
