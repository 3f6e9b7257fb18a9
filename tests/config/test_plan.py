from __future__ import annotations

import pytest

from yoloscale.config.plan import BatchPlan, describe, is_automatic, plan
from yoloscale.config.schema import ClusterConfig, Config


def config(batch: float, ranks: int, nodes: int = 1, nbs: int = 64) -> Config:
    return Config(batch=batch, nbs=nbs, cluster=ClusterConfig(nodes=nodes, procs_per_node=ranks))


def test_the_plan_in_words() -> None:
    assert str(plan(config(128, 4, nodes=2))) == "global 128 = 8 ranks × 16, accumulate 1"
    assert str(plan(config(16, 1))) == "global 16 = 1 rank × 16, accumulate 4"


@pytest.mark.parametrize(
    ("batch", "nbs", "accumulate"), [(16, 64, 4), (24, 64, 3), (40, 64, 2), (128, 64, 1), (2, 2, 1)]
)
def test_accumulation_is_ultralytics_rule(batch: int, nbs: int, accumulate: int) -> None:
    assert plan(config(batch, 2, nbs=nbs)) == BatchPlan(batch, 2, batch // 2, accumulate)


def test_a_batch_that_was_not_validated_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        plan(config(15, 2))


def test_automatic_batches() -> None:
    assert is_automatic(-1)
    assert is_automatic(0.7)
    assert not is_automatic(1)
    assert not is_automatic(16)


@pytest.mark.parametrize("batch", [-1, 0.7])
def test_a_batch_still_to_be_sized_has_words_too(batch: float) -> None:
    assert describe(config(batch, 8)) == "global batch sized by GPU memory when it starts, over 8 ranks"
    assert describe(config(16, 8)) == str(plan(config(16, 8)))
