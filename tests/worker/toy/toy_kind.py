"""A verb of a test: a schema with a section, a rank program, and the row that makes both known."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from yoloscale.config.kinds import KINDS
from yoloscale.config.schema import Config
from yoloscale.distributed.environment import Ranks
from yoloscale.engine.stop_requests import StopRequests
from yoloscale.exit_codes import FINISHED
from yoloscale.runs import events
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.files import write_whole


@dataclass
class SumConfig:
    addends: list[int] = field(default_factory=list)  # one of each rank


@dataclass
class ToyConfig(Config):
    """A run that adds numbers."""

    kind = "toy"
    sum: SumConfig = field(default_factory=SumConfig)


TOY = replace(KINDS["train"], verb="toy", schema="toy_kind:ToyConfig", program="toy_kind:add")


def add(config: ToyConfig, run: RunDirectory, ranks: Ranks, attempt: int, requests: StopRequests) -> int:
    """Collective."""
    import torch
    import torch.distributed as dist

    from yoloscale.distributed import group

    group.join(ranks, "gloo", torch.device("cpu"), config.cluster.timeout_s)
    total = torch.tensor([config.sum.addends[ranks.rank]])
    dist.all_reduce(total)
    if ranks.is_first:
        write_whole(run.result, json.dumps({"metrics": {"total": int(total)}}))
        events.append(run, events.Finished(epochs=0, steps=0))
    group.barrier()
    group.leave()
    return FINISHED
