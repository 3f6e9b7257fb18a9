"""All gradients of one optimiser step cross the network once, whatever was used in which micro-batch.

`FlatGradients` is the data-parallel reducer of the project. Every parameter's `.grad` is a view into one flat fp32
buffer, so

- micro-batches accumulate into it locally, and nothing is sent before the last one of the step;
- a parameter that a rank did not use (a batch without targets, a frozen branch, a rank without samples) contributes
  the zeros it holds, so no rank waits for a bucket that another will never send. DistributedDataParallel needs
  `find_unused_parameters` for that, which costs a graph walk per step and loses gradients together with `no_sync`
  (pytorch/pytorch issue 69031);
- the buffer is cut into buckets that are sent while the last backward pass still runs, in the same order on every rank;
- norm, clipping, the finite check and zeroing are one kernel each instead of one per parameter.

With `exact` the micro-batches are summed in fp64, on a rank and between ranks. A sum of fp32 values in fp64 hardly ever
rounds differently in another order, so the same micro-batches give the same bits on any number of ranks; in fp32 they
differ in the last bit, and training amplifies that. It costs twice the traffic, and nothing overlaps.

Behind the gradients the buffer carries the floating-point buffers of the model (batch-norm statistics, averaged over
the ranks that saw samples) and a few numbers of the caller (losses, counts, requests). After `reduce`, every rank holds
the same bits in all three: the state of the ranks is one state.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import nn


class FlatGradients:
    """Gradients of `model`'s trainable parameters as views of one buffer.

    Args:
        model: the raw module, on its device and in its memory format; parameters must not be replaced afterwards.
        numbers: how many extra floats are summed over the ranks with each step.
        group: the ranks to sum over; None at world size 1.
        exact: sum in fp64, so that the result does not depend on how micro-batches are spread over ranks.
        bucket_bytes: how much is sent at once while the backward pass still runs.
    """

    def __init__(
        self,
        model: nn.Module,
        numbers: int,
        group: dist.ProcessGroup | None,
        *,
        exact: bool = False,
        bucket_bytes: int = 25 * 2**20,
    ) -> None:
        # reversed: the last layers' gradients are ready first
        self.parameters = [p for p in reversed(list(model.parameters())) if p.requires_grad]
        self.statistics = [b for b in model.buffers() if b.is_floating_point() and b.numel() > 0]
        self._size = sum(p.numel() for p in self.parameters)
        extra = sum(b.numel() for b in self.statistics) + 1 + numbers
        device = self.parameters[0].device
        self._flat = torch.zeros(self._size + extra, dtype=torch.float32, device=device)
        self.gradients = self._flat[: self._size]
        self._tail = self._flat[self._size :]
        self.numbers = self._flat[len(self._flat) - numbers :]
        self._statistics_views = self._views(self.statistics, self._tail)
        for parameter, view in zip(self.parameters, self._views(self.parameters, self.gradients), strict=True):
            parameter.grad = view
        self._exact = torch.zeros_like(self._flat, dtype=torch.float64) if exact else None
        self._group = group
        self._distributed = group is not None
        self._buckets, self._bucket_of = self._cut(bucket_bytes)
        self._missing: list[int] = []
        self._sent = 0
        self._works: list[dist.Work] = []
        self._sending = False
        self._hooks = (
            [p.register_post_accumulate_grad_hook(self._ready) for p in self.parameters]
            if self._distributed and not exact
            else []
        )

    @staticmethod
    def _views(tensors: Sequence[torch.Tensor], flat: torch.Tensor) -> list[torch.Tensor]:
        """Views of `flat`, one after the other, each with the shape and the strides of its tensor."""
        views, start = [], 0
        for tensor in tensors:
            part = flat[start : start + tensor.numel()]
            views.append(part.as_strided(tensor.shape, tensor.stride(), part.storage_offset()))
            start += tensor.numel()
        return views

    def _cut(self, bucket_bytes: int) -> tuple[list[torch.Tensor], dict[int, int]]:
        """Contiguous slices of the gradients of at least `bucket_bytes`, and the bucket of each parameter (by id)."""
        buckets: list[torch.Tensor] = []
        bucket_of: dict[int, int] = {}
        start = end = 0
        for parameter in self.parameters:
            bucket_of[id(parameter)] = len(buckets)
            end += parameter.numel()
            if (end - start) * 4 >= bucket_bytes:
                buckets.append(self.gradients[start:end])
                start = end
        buckets.append(self._flat[start:])  # the rest, with the tail behind it
        return buckets, bucket_of

    def zero(self) -> None:
        """Forget the last step's gradients and numbers."""
        self._flat.zero_()
        if self._exact is not None:
            self._exact.zero_()

    def micro_batch_done(self) -> None:
        """Call after each backward pass but the step's last one."""
        if self._exact is not None:
            self._exact.add_(self._flat)
            self._flat.zero_()

    def start_last_backward(self) -> None:
        """Say that the coming backward pass is the step's last one: from now on full buckets are sent."""
        self._missing = [0] * len(self._buckets)
        for parameter in self.parameters:
            self._missing[self._bucket_of[id(parameter)]] += 1
        self._sending = bool(self._hooks)

    def _ready(self, parameter: torch.Tensor) -> None:
        """Hook of the backward pass: one more parameter of a bucket holds its final gradient."""
        if not self._sending:
            return
        self._missing[self._bucket_of[id(parameter)]] -= 1
        # in bucket order, so that the collectives match on all ranks; the last bucket waits for the tail
        while self._sent < len(self._buckets) - 1 and self._missing[self._sent] <= 0:
            self._send()

    @torch.no_grad()
    def _send(self) -> None:
        work = dist.all_reduce(self._buckets[self._sent], group=self._group, async_op=True)
        assert work is not None
        self._works.append(work)
        self._sent += 1

    def reduce(self, active: bool) -> None:
        """Collective. Sum gradients and `numbers` over the ranks; average the statistics over the active ranks.

        Args:
            active: whether this rank ran the model in this step; its statistics count only then.
        """
        count = self._flat[len(self._flat) - len(self.numbers) - 1]
        if active and self._distributed:
            count.fill_(1.0)
            if self.statistics:
                torch._foreach_copy_(self._statistics_views, self.statistics)
        if self._exact is not None:
            self._exact.add_(self._flat)
            if self._distributed:
                dist.all_reduce(self._exact, group=self._group)
            self._flat.copy_(self._exact)
        elif self._distributed:
            self._send_the_rest()
        if self._distributed and self.statistics:
            torch._foreach_div_(self._statistics_views, count)
            torch._foreach_copy_(self.statistics, self._statistics_views)

    def _send_the_rest(self) -> None:
        self._sending = False
        while self._sent < len(self._buckets):
            self._send()
        for work in self._works:
            work.wait()
        self._works.clear()
        self._sent = 0

    def norm(self) -> torch.Tensor:
        """The 2-norm of all gradients, a scalar tensor, the same bits on every rank after `reduce`."""
        norm: torch.Tensor = torch.linalg.vector_norm(self.gradients)
        return norm

    def clip(self, norm: torch.Tensor, maximum: float) -> None:
        """Scale the gradients so that their norm is at most `maximum` (torch.nn.utils.clip_grad_norm_'s formula)."""
        self.gradients.mul_((maximum / (norm + 1e-6)).clamp(max=1.0))
