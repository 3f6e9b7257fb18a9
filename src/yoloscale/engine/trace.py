"""debug.trace: one line per optimiser step, so that two runs that did the same have the same lines."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from torch import nn

from yoloscale.distributed.group import gather_objects
from yoloscale.engine.step import StepOutcome


def trace_record(total: int, outcome: StepOutcome, module: nn.Module) -> dict[str, Any]:
    """Collective. The line of the step after which `total` steps are done. Raises RuntimeError if parameters differ.

    `samples` is a digest of their ids in the order of the epoch, however they are cut into micro-batches.
    """
    digest = blake2b(digest_size=8)
    for parameter in module.parameters():
        digest.update(parameter.detach().cpu().numpy().tobytes())
    dealt, digests = zip(*gather_objects((outcome.samples, digest.hexdigest())), strict=True)
    if len(set(digests)) != 1:
        raise RuntimeError(f"step {total}: the ranks hold different parameters: {list(digests)}")
    samples = [sample for _, ids in sorted(pair for pairs in dealt for pair in pairs) for sample in ids]
    return {
        "step": total,
        "loss": outcome.loss.hex(),
        "grad_norm": outcome.norm.hex(),
        "samples": blake2b(repr(samples).encode(), digest_size=8).hexdigest(),
        "params": digests[0],
    }
