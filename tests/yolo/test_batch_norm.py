"""`cluster.sync_bn`: batch norms over all ranks while training, plain ones in what is evaluated and published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed import distributed_c10d

from yoloscale.config.schema import Config
from yoloscale.engine.stop_requests import StopRequests
from yoloscale.runs.directory import RunDirectory


def synchronised(ranks: Any, steps: Any, config: Config, folder: Path) -> dict[str, Any]:
    from yoloscale.worker.train import parts as setup
    from yoloscale.yolo import weights

    run = RunDirectory(folder / f"run-{ranks.rank}")
    run.path.mkdir()
    parts = setup.build(config, run, ranks, torch.device("cpu"), steps, StopRequests(), lambda _: None)
    trained = [part for part in parts.learner.module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    if ranks.is_first:
        weights.PublishedCopy(parts.stepper.average.module, vars(parts.trainer.args)).fill({}, 1)(folder / "best.pt")
    own = {part.process_group for part in trained if isinstance(part, nn.SyncBatchNorm)}
    names = {name for name, _ in parts.learner.module.named_parameters()}
    tensors = dict(parts.learner.module.state_dict(keep_vars=True))
    return {
        "synchronised": len(trained) == sum(isinstance(part, nn.SyncBatchNorm) for part in trained) > 0,
        "sizes": [each.size() for each in own],
        "is apart": steps not in own and own < set(distributed_c10d._world.pg_map),
        "trains": {id(tensors[name]) for name in names if tensors[name].requires_grad}
        == {id(p) for p in parts.stepper.gradients.parameters},
        "average": dict(parts.stepper.average.module.state_dict()),
    }


def test_batch_norms_have_a_group_of_their_own_and_are_published_as_plain_ones(
    launch_ranks: Callable[..., list[Any]], config_of: Callable[..., Config], tmp_path: Path
) -> None:
    from ultralytics import YOLO

    config = config_of("detect")
    config.cluster.procs_per_node, config.cluster.planned_ranks, config.cluster.sync_bn = 2, 2, True
    for result in launch_ranks(synchronised, 2, config, tmp_path):
        assert result["synchronised"]
        assert result["sizes"] == [2]
        assert result["is apart"]
        assert result["trains"]
    published = torch.load(tmp_path / "best.pt", weights_only=False)["model"]
    assert not any(isinstance(part, nn.SyncBatchNorm) for part in published.modules())
    assert {type(part) for part in published.modules() if "BatchNorm" in type(part).__name__} == {nn.BatchNorm2d}
    loaded = YOLO(str(tmp_path / "best.pt")).model
    assert not any(isinstance(part, nn.SyncBatchNorm) for part in loaded.modules())
    for name, value in loaded.state_dict().items():
        assert torch.equal(value.half(), result["average"][name].half()), name
