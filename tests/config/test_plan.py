from __future__ import annotations

from itertools import product

import pytest

from yoloscale.config.plan import BatchPlan, Split, describe, difference, is_automatic, plan
from yoloscale.config.schema import ClusterConfig, Config
from yoloscale.errors import ConfigError


def config(batch: float, ranks: int, nodes: int = 1, nbs: int = 64, **cluster: object) -> Config:
    made = Config(batch=batch, nbs=nbs, cluster=ClusterConfig(nodes=nodes, procs_per_node=ranks))
    for key, value in cluster.items():
        setattr(made.cluster, key, value)
    return made


def test_the_plan_in_words() -> None:
    assert str(plan(config(128, 4, nodes=2))) == "global 128 = 8 ranks × 16, accumulate 1"
    assert str(plan(config(16, 1))) == "global 16 = 1 rank × 16, accumulate 4"


@pytest.mark.parametrize(
    ("batch", "nbs", "accumulate"), [(16, 64, 4), (24, 64, 3), (40, 64, 2), (128, 64, 1), (2, 2, 1)]
)
def test_accumulation_is_ultralytics_rule(batch: int, nbs: int, accumulate: int) -> None:
    split = Split(2, batch // 2, accumulate)
    assert plan(config(batch, 2, nbs=nbs)) == BatchPlan(split, split)


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


@pytest.mark.parametrize(
    ("batch", "nbs", "planned", "ranks", "words"),
    [
        (16, 16, 2, 1, "global 16 = 1 rank × 8, accumulate 2 (planned for 2 ranks × 8, accumulate 1"),
        (16, 64, 1, 2, "global 16, 64 a step = 2 ranks × 16, accumulate 2 (planned for 1 rank × 16, accumulate 4"),
        (16, 64, 2, 4, "global 16, 64 a step = 4 ranks × 8, accumulate 2 (planned for 2 ranks × 8, accumulate 4"),
    ],
)
def test_other_ranks_take_over_the_planned_micro_batches(
    batch: int, nbs: int, planned: int, ranks: int, words: str
) -> None:
    made = plan(config(batch, ranks, nbs=nbs, planned_ranks=planned))
    assert str(made) == f"{words}: same micro-batches)"
    assert made.is_exact


def test_where_micro_batches_do_not_divide_their_images_do() -> None:
    given = config(16, 4, nbs=16, planned_ranks=2)
    made = plan(given)
    assert str(made) == "global 16 = 4 ranks × 4, accumulate 1 (planned for 2 ranks × 8, accumulate 1: " + (
        "same samples in each step)"
    )
    assert "batch norm sees groups of 4 images instead of 8" in str(difference(given, made))


def test_with_synchronised_batch_norm_the_forward_pass_stays() -> None:
    made = plan(config(16, 1, nbs=64, planned_ranks=2, sync_bn=True))
    assert made.actual == Split(1, 16, 4)
    with pytest.raises(ConfigError, match="sync_bn"):
        plan(config(16, 32, nbs=64, planned_ranks=2, sync_bn=True))


def test_ranks_that_cannot_work_are_told_those_that_can() -> None:
    with pytest.raises(ConfigError) as caught:
        plan(config(16, 3, nbs=16, planned_ranks=2))
    (problem,) = caught.value.problems
    assert problem.key == "cluster.procs_per_node"
    assert "do not divide over 3 ranks" in problem.found
    assert problem.instead == "go on with 1, 2, 4, 8 or 16 ranks"
    with pytest.raises(ConfigError, match="go on with 1 rank"):
        plan(config(1, 2, nbs=1, planned_ranks=1))


@pytest.mark.parametrize("sync_bn", [False, True])
def test_every_pair_of_topologies(sync_bn: bool) -> None:
    """The images of a step never change; micro-batches do only where they must, and never grow but with SyncBN."""
    for per_rank, planned, ranks, nbs in product((1, 2, 3, 4, 6, 8), range(1, 9), range(1, 9), (1, 24, 64)):
        given = config(per_rank * planned, ranks, nbs=nbs, planned_ranks=planned, sync_bn=sync_bn)
        before = plan(config(per_rank * planned, planned, nbs=nbs)).actual
        divided = before.forward_batch if sync_bn else before.step_images
        if divided % ranks:
            with pytest.raises(ConfigError):
                plan(given)
            continue
        made = plan(given)
        assert made.planned == before
        assert (made.actual.ranks, made.actual.step_images) == (ranks, before.step_images)
        assert (difference(given, made) is None) == (ranks == planned)
        if sync_bn:
            assert made.actual.forward_batch == before.forward_batch
        else:
            assert made.is_exact == (planned * before.accumulate % ranks == 0)
            assert made.actual.per_rank <= per_rank


def test_the_actual_ranks_and_the_chosen_batch_may_come_from_the_start() -> None:
    """Fewer nodes than the config names; a batch sized on the GPU."""
    given = config(-1, 4, nodes=2, planned_ranks=8)
    assert plan(given, ranks=4, batch=64).actual == Split(4, 8, 2)


@pytest.mark.parametrize(("exact", "said"), [(True, "bit for bit"), (False, "up to the order of fp32 sums")])
def test_what_differs_says_how_exact_it_is(exact: bool, said: str) -> None:
    given = config(16, 1, nbs=16, planned_ranks=2, exact_reduce=exact)
    told = difference(given, plan(given))
    assert told is not None
    assert said in told
    assert told.startswith("1 rank instead of 2")
