from __future__ import annotations

from yoloscale.dist.environment import from_environment

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}


def test_a_process_started_alone_is_rank_0_of_1() -> None:
    ranks = from_environment({})
    assert (ranks.rank, ranks.world_size, ranks.local_rank, ranks.local_world_size) == (0, 1, 0, 1)
    assert ranks.is_first
    assert ranks.is_first_of_node


def test_what_torchrun_says() -> None:
    ranks = from_environment(TORCHRUN)
    assert (ranks.rank, ranks.world_size, ranks.local_rank, ranks.local_world_size) == (5, 8, 1, 4)
    assert not ranks.is_first
    assert not ranks.is_first_of_node


def test_the_first_rank_of_a_second_node() -> None:
    ranks = from_environment({**TORCHRUN, "RANK": "4", "LOCAL_RANK": "0"})
    assert not ranks.is_first
    assert ranks.is_first_of_node
    assert ranks.host
