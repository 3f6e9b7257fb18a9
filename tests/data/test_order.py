"""Sample order: what an epoch consists of, whoever deals it out."""

from __future__ import annotations

from hashlib import blake2b
from itertools import product

import numpy as np
import pytest

from yoloscale.config.plan import BatchPlan, plan
from yoloscale.config.schema import ClusterConfig, Config
from yoloscale.data.order import SampleOrder
from yoloscale.data.permutation import permutation
from yoloscale.data.seeds import derive
from yoloscale.errors import ConfigError

GOLDEN = {(1000, 0, 0): "0d6f5d98549116f9", (118_287, 7, 3): "8bd36e73415c0777", (400_000, 1, 2): "526eec77ef506271"}
SHAPES = list(product((4, 8, 12), (1, 2, 4), (1, 2, 3)))  # batch, world size, accumulate


def steps_of_all_ranks(order: SampleOrder, epoch: int, index: int) -> list[tuple[int, ...]]:
    """The micro-batches of one optimiser step in their order over all ranks."""
    found = [m for rank in range(order.world_size) for m in order.step(epoch, index, rank).micro_batches]
    return [micro.samples for micro in sorted(found, key=lambda micro: micro.number)]


def epoch_of(order: SampleOrder, epoch: int) -> list[list[tuple[int, ...]]]:
    return [steps_of_all_ranks(order, epoch, index) for index in range(order.steps)]


@pytest.mark.parametrize("samples", [1, 2, 17, 512])
def test_an_epoch_is_a_permutation(samples: int) -> None:
    assert sorted(permutation(samples, 0, 3).tolist()) == list(range(samples))


def test_epochs_and_seeds_shuffle_anew() -> None:
    orders = [permutation(256, seed, epoch).tolist() for seed in (0, 1) for epoch in range(5)]
    assert len({tuple(order) for order in orders}) == 10
    assert list(range(256)) not in orders
    # not one rotated or merely nudged: two random permutations agree in about one place
    assert max(int(np.sum(np.array(a) == np.array(b))) for a, b in product(orders, orders) if a != b) < 12


def test_the_order_is_the_same_on_every_machine_and_in_every_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resumed runs rely on it: no number here may ever change, whatever numpy's own shuffles return (NEP 19)."""

    def changed(*_: object) -> None:
        raise AssertionError("numpy may shuffle in another way in its next release")

    for name in ("default_rng", "Generator"):
        monkeypatch.setattr(np.random, name, changed)
    permutation.cache_clear()
    assert derive("order", 0, 0) == 8588683713679869937
    assert permutation(10, 0, 0).tolist() == [7, 4, 6, 2, 9, 8, 3, 1, 5, 0]
    assert permutation(10, 0, 1).tolist() == [4, 1, 5, 9, 2, 8, 6, 0, 7, 3]
    assert (permutation(1000, 0, 0)[:5]).tolist() == [206, 724, 298, 397, 203]
    digests = [blake2b(permutation(*of).tobytes(), digest_size=8).hexdigest() for of in GOLDEN]
    assert digests == list(GOLDEN.values())


@pytest.mark.parametrize("samples", [*range(70), 1023, 1024, 1025, 40_000, 2**17 + 3, 300_001])
def test_it_is_the_order_that_runs_were_begun_with(samples: int) -> None:
    """Up to numpy 2.4: should a later one differ here, this test goes, and the numbers above stay."""
    theirs = np.random.Generator(np.random.Philox(derive("order", 3, samples % 5))).permutation(samples)
    assert np.array_equal(permutation(samples, 3, samples % 5), theirs)


@pytest.mark.parametrize("samples", [1, 3, 7, 64, 65, 127])
def test_micro_batches_partition_the_epoch(samples: int) -> None:
    for batch, world_size, accumulate in SHAPES:
        order = SampleOrder(samples, batch, world_size, accumulate, seed=5)
        dealt = [sample for step in epoch_of(order, 2) for micro in step for sample in micro]
        assert dealt == permutation(samples, 5, 2).tolist(), (batch, world_size, accumulate)


@pytest.mark.parametrize("samples", [1, 3, 7, 64, 65, 127])
@pytest.mark.parametrize(("batch", "world_size", "accumulate"), SHAPES[::5])
def test_steps_say_how_much_they_are(samples: int, batch: int, world_size: int, accumulate: int) -> None:
    order = SampleOrder(samples, batch, world_size, accumulate, seed=5)
    position = 0
    for index in range(order.steps):
        for rank in range(world_size):
            step = order.step(0, index, rank)
            assert (step.start, step.total) == (position, sum(map(len, steps_of_all_ranks(order, 0, index))))
            assert len(step.micro_batches) <= accumulate
            assert all(0 < len(micro.samples) <= batch // world_size for micro in step.micro_batches)
        assert step.total > 0
        position += step.total
    assert position == samples


@pytest.mark.parametrize("samples", [32, 37, 64, 70, 95])
def test_the_same_micro_batches_on_any_topology(samples: int) -> None:
    """Micro-batches of 4: one rank that accumulates 8, 2 that accumulate 4, … 8 that do not accumulate."""
    reference = SampleOrder(samples, 4, 1, 8, seed=1)
    for world_size in (2, 4, 8):
        other = SampleOrder(samples, 4 * world_size, world_size, 8 // world_size, seed=1)
        assert epoch_of(other, 1) == epoch_of(reference, 1)
        numbers = [
            micro.number
            for index in range(other.steps)
            for rank in range(world_size)
            for micro in other.step(1, index, rank).micro_batches
        ]
        assert sorted(numbers) == list(range(len(numbers))), "a micro-batch has the same number on every topology"


def on_ranks(samples: int, dealt: BatchPlan, drop_last: bool) -> SampleOrder:
    actual = dealt.actual
    return SampleOrder(
        samples, actual.forward_batch, actual.ranks, actual.accumulate, 3, drop_last, planned_batch=dealt.global_batch
    )


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("sync_bn", [False, True])
def test_a_run_keeps_its_steps_on_other_ranks(drop_last: bool, sync_bn: bool) -> None:
    """Every pair (planned, actual) of up to 6 ranks: the same micro-batches where exact, else the same samples."""
    exact = changed = 0
    for per_rank, planned, ranks, samples in product((1, 3, 4), range(1, 7), range(1, 7), (5, 31, 48, 65)):
        cluster = ClusterConfig(procs_per_node=ranks, planned_ranks=planned, sync_bn=sync_bn)
        config = Config(batch=per_rank * planned, nbs=24, cluster=cluster)
        try:
            dealt = plan(config)
        except ConfigError:
            continue
        before = on_ranks(samples, BatchPlan(dealt.planned, dealt.planned), drop_last)
        now = on_ranks(samples, dealt, drop_last)
        expected, found = epoch_of(before, 2), epoch_of(now, 2)
        assert (now.steps, now.used) == (before.steps, before.used)
        assert [sum(step, ()) for step in found] == [sum(step, ()) for step in expected]
        if dealt.is_exact:
            assert found == expected
        exact, changed = exact + dealt.is_exact, changed + dealt.is_changed
        if sync_bn and drop_last and samples >= dealt.global_batch:
            for index, rank in product(range(now.steps), range(ranks)):
                micro = now.step(2, index, rank).micro_batches
                assert {len(part.samples) for part in micro} == {dealt.actual.per_rank}, "all ranks meet in each pass"
    assert exact >= 72
    assert changed >= 50


def test_ranks_without_samples_in_the_last_step() -> None:
    order = SampleOrder(samples=9, batch=8, world_size=4, accumulate=1, seed=0)
    assert order.steps == 2
    assert [len(order.step(0, 1, rank).micro_batches) for rank in range(4)] == [1, 0, 0, 0]
    assert order.step(0, 1, 3).total == 1


def test_fewer_samples_than_ranks() -> None:
    order = SampleOrder(samples=3, batch=8, world_size=8, accumulate=2, seed=0)
    assert order.steps == 1
    assert sum(len(order.step(0, 0, rank).micro_batches) for rank in range(8)) == 3


@pytest.mark.parametrize(("samples", "passes"), [(64, 8), (65, 8), (71, 8), (7, 1), (8, 1)])
def test_drop_last_leaves_out_a_short_forward_pass_but_never_the_only_one(samples: int, passes: int) -> None:
    order = SampleOrder(samples, 8, 2, 2, seed=0, drop_last=True)
    assert order.forward_passes == passes
    dealt = [micro for step in epoch_of(order, 0) for micro in step]
    assert sum(map(len, dealt)) == min(samples, passes * 8)
    assert order.steps == -(-passes // 2)
