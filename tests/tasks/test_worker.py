from __future__ import annotations

import pytest

from yoloscale.config.errors import ConfigError
from yoloscale.config.schema import ClusterConfig, Config
from yoloscale.dist.environment import Ranks
from yoloscale.worker import _check_topology


def check(started: int, batch: float = 24, **cluster: int | None) -> None:
    """As in a rank of a run over 3 nodes with 2 ranks each, of which so many ranks were started."""
    frozen = ClusterConfig(nodes=3, procs_per_node=2, planned_ranks=6)
    for key, value in cluster.items():
        setattr(frozen, key, value)
    _check_topology(Config(batch=batch, nbs=24, cluster=frozen), Ranks(world_size=started))


def test_as_many_ranks_as_were_frozen() -> None:
    check(6)
    with pytest.raises(ConfigError, match="torchrun --nnodes=3 --nproc-per-node=2"):
        check(4)


def test_fewer_nodes_down_to_the_fewest() -> None:
    check(4, min_nodes=2)
    check(2, min_nodes=1)
    for started in (1, 2, 3, 5, 8):
        with pytest.raises(ConfigError, match="torchrun --nnodes=2:3 --nproc-per-node=2"):
            check(started, min_nodes=2)


def test_fewer_nodes_whose_ranks_the_batch_does_not_divide_over() -> None:
    with pytest.raises(ConfigError, match="go on with 1, 2, 3, 6, 9 or 18 ranks"):
        check(4, batch=18, min_nodes=2)
    check(4, batch=-1, min_nodes=2)  # sized by the memory of the GPUs, which is looked at later
