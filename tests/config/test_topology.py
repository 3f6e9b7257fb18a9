from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from yoloscale.backends.check import validate
from yoloscale.config.resolve import adopt, resolve
from yoloscale.config.resuming import Done
from yoloscale.config.schema import ClusterConfig, Config, Device, ModelConfig, Task
from yoloscale.config.schema.slurm import passed_through
from yoloscale.config.topology import differences, moved
from yoloscale.config.typed_again import changed as changed_with
from yoloscale.errors import ConfigError
from yoloscale.system.machine import Machine

CPU = Machine(gpu_count=0, cpus=4, has_bf16=True)
OLD_CPU = Machine(gpu_count=0, cpus=4, has_bf16=False)
GPUS = Machine(gpu_count=4, cpus=32, has_bf16=True)
MODEL = ModelConfig(architecture="yolo26n.yaml", task=Task.detect)


def changed(run: Config, tokens: list[str]) -> Config:
    return changed_with(run, tokens, lambda: "yoloscale train …", Done())


def frozen(machine: Machine, **cluster: Any) -> Config:
    made = resolve(Config(name="run", model=MODEL, cluster=ClusterConfig(**cluster)), machine)
    ranks = made.cluster.nodes * (made.cluster.procs_per_node or 0)
    return replace(made, cluster=replace(made.cluster, planned_ranks=ranks))


def where(config: Config) -> tuple[Device, int | None, list[int] | None, str | None]:
    cluster = config.cluster
    return cluster.device, cluster.procs_per_node, cluster.gpus, cluster.backend


@pytest.mark.parametrize("first", [CPU, OLD_CPU, GPUS])
@pytest.mark.parametrize("second", [CPU, OLD_CPU, GPUS])
def test_what_was_left_to_the_machine_stays_on_another_one(first: Machine, second: Machine) -> None:
    run = frozen(first)
    assert resolve(adopt(Config(name="run", model=MODEL), run), second) == run


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ({"procs_per_node": 1}, (Device.cuda, 1, [2], "gloo")),
        ({"procs_per_node": 3}, (Device.cuda, 3, None, "gloo")),
        ({"device": Device.cpu}, (Device.cpu, 2, None, "gloo")),
        ({"device": Device.cuda, "gpus": [0], "procs_per_node": 1}, (Device.cuda, 1, [0], "gloo")),
        ({"backend": "nccl"}, (Device.cuda, 2, [2, 3], "nccl")),
    ],
)
def test_what_is_given_wins(typed: dict[str, Any], expected: tuple[Any, ...]) -> None:
    run = frozen(GPUS, gpus=[2, 3], backend="gloo")
    again = resolve(adopt(Config(name="run", cluster=ClusterConfig(**typed)), run), GPUS)
    assert where(again) == expected
    assert again.cluster.planned_ranks == 2


def test_a_run_from_gpus_says_what_is_missing_on_a_machine_without() -> None:
    again = resolve(adopt(Config(name="run", model=MODEL), frozen(GPUS)), CPU)
    (problem,) = validate(again, CPU)
    assert problem.key == "cluster.device"
    assert "device=cpu" in problem.instead


@pytest.mark.parametrize(("machine", "amp"), [(CPU, "bf16"), (OLD_CPU, "fp32")])
def test_mixed_precision_follows_a_run_to_a_cpu(machine: Machine, amp: str) -> None:
    run = frozen(GPUS)
    wanted = resolve(adopt(Config(name="run", cluster=ClusterConfig(device=Device.cpu)), run), machine)
    assert moved(run, wanted) == replace(run, cluster=wanted.cluster, amp=amp)
    assert where(wanted) == (Device.cpu, 4, None, "gloo"), "and the frozen backend does not"


def test_only_where_moves() -> None:
    run = frozen(CPU, exact_reduce=True)
    wanted = replace(run, epochs=7, amp="fp32", cluster=ClusterConfig(procs_per_node=4, nodes=2, threads=3))
    found = moved(run, wanted)
    assert (found.epochs, found.amp, found.cluster.exact_reduce) == (run.epochs, run.amp, True)
    assert (found.cluster.nodes, found.cluster.procs_per_node, found.cluster.threads) == (2, 4, 3)
    assert found.cluster.planned_ranks == 2
    assert moved(found, replace(found, cluster=run.cluster)) == run


def test_a_run_of_an_earlier_version_was_planned_for_its_ranks() -> None:
    run = frozen(CPU)
    run.cluster.planned_ranks = None
    assert changed(run, ["cluster.procs_per_node=1"]).cluster.planned_ranks == 2


def test_typed_in_the_grammar_of_train() -> None:
    run = frozen(CPU, nodes=2, rdzv_endpoint="first:29500", min_nodes=1)
    assert changed(run, []) == run
    assert where(changed(run, ["device=1,3"])) == (Device.cuda, 2, [1, 3], "nccl")
    several = changed(run, ["cluster.procs_per_node=1", "--cluster.threads=2", "cluster.rdzv_endpoint=other:1"]).cluster
    assert (several.procs_per_node, several.threads, several.rdzv_endpoint) == (1, 2, "other:1")
    alone = changed(run, ["cluster.nodes=1"]).cluster
    assert (alone.nodes, alone.rdzv_endpoint, alone.min_nodes, alone.planned_ranks) == (1, None, None, 4)


def test_from_slurm_to_here_leaves_what_was_asked_of_slurm() -> None:
    asked = {"partition": "gpu", "gpus_per_node": "8", "sbatch": {"nice": 5}, "time": "1-00:00:00", "max_requeues": 3}
    run = frozen(CPU, launcher="slurm", nodes=2, procs_per_node=1, min_nodes=1, timeout_s=99.0, **asked)
    here = changed(run, ["cluster.launcher=local"]).cluster
    blank = ClusterConfig()
    assert all(getattr(here, name) == getattr(blank, name) for name in (*asked, "nodes", "min_nodes"))
    assert (here.procs_per_node, here.timeout_s, here.planned_ranks) == (1, 99.0, 2)
    several = changed(run, ["cluster.launcher=local", "cluster.nodes=2", "cluster.rdzv_endpoint=h:1"]).cluster
    assert (several.nodes, several.min_nodes, several.partition) == (2, 1, None)
    assert changed(run, ["cluster.partition=cpu"]).cluster == replace(run.cluster, partition="cpu"), "and no more"


def test_options_and_variables_come_beside_those_there_are() -> None:
    run = frozen(CPU, launcher="slurm", sbatch={"nice": 5, "hold": True}, env={"A": "1"}, procs_per_node=2)
    typed = ["cluster.sbatch.hold=null", "cluster.sbatch.nodelist=node[1-2]", "cluster.env.NCCL_DEBUG=INFO"]
    again = changed(run, typed).cluster
    assert passed_through(again) == {"nice": 5, "nodelist": "node[1-2]"}
    assert again.env == {"A": "1", "NCCL_DEBUG": "INFO"}
    assert changed(run, ["~cluster.env.A"]).cluster.env == {}
    assert changed(run, ["cluster.sbatch={}"]).cluster.sbatch == {}
    assert run.cluster.sbatch == {"nice": 5, "hold": True}


def test_a_group_takes_the_place_of_all_settings() -> None:
    run = frozen(CPU, timeout_s=99.0, exact_reduce=True, threads=7)
    there = changed(
        run, ["cluster=slurm", "cluster.partition=low", "cluster.nodes=2", "cluster.procs_per_node=1"]
    ).cluster
    assert (there.launcher, there.partition, there.nodes, there.procs_per_node) == ("slurm", "low", 2, 1)
    assert (there.exact_reduce, there.planned_ranks, there.threads) == (True, 2, None)
    back = changed(replace(run, cluster=there), ["cluster=local", "cluster.procs_per_node=2"])
    assert back.cluster == replace(frozen(CPU).cluster, exact_reduce=True)


def test_what_may_not_change_is_listed() -> None:
    fixed = [
        "lr0=0.5",
        "cluster.exact_reduce=true",
        "cluster.sync_bn=true",
        "cluster.planned_ranks=1",
        "model=yolo11n",
    ]
    with pytest.raises(ConfigError) as caught:
        changed(frozen(CPU), [*fixed, "cluster.procs_per_node=1"])
    assert [problem.key for problem in caught.value.problems] == ["cluster.planned_ranks"]
    fixed.remove("cluster.planned_ranks=1")
    with pytest.raises(ConfigError) as caught:
        changed(frozen(CPU), [*fixed, "cluster.procs_per_node=1"])
    found = {problem.key: problem.instead for problem in caught.value.problems}
    assert {"lr0", "cluster.exact_reduce", "cluster.sync_bn", "model.weights"} <= found.keys()
    assert all("yoloscale train …" in instead for instead in found.values())


@pytest.mark.parametrize(
    "token", ["procs_per_node=1", "-m", "--dry-run", "~cluster", "cluster=nowhere", "cluster.nodes=x"]
)
def test_what_cannot_be_read_is_an_error(token: str) -> None:
    with pytest.raises(ConfigError):
        changed(frozen(CPU), [token])


@pytest.mark.parametrize(("ranks", "works"), [(1, True), (2, True), (4, True), (3, False)])
def test_the_batch_must_divide_over_the_ranks_of_now(ranks: int, works: bool) -> None:
    run = replace(frozen(CPU), batch=16, nbs=16)
    problems = validate(changed(run, [f"cluster.procs_per_node={ranks}"]), CPU)
    assert [problem.key for problem in problems] == ([] if works else ["cluster.procs_per_node"])


def test_the_batch_must_divide_over_as_many_nodes_as_may_be_left() -> None:
    run = replace(frozen(CPU, nodes=4, rdzv_endpoint="first:1", min_nodes=2), batch=16, nbs=16)
    (problem,) = validate(run, CPU)
    assert problem.key == "cluster.min_nodes"
    assert "3 of 4 nodes" in problem.found
    assert "cluster.min_nodes=4" in problem.instead
    assert validate(replace(run, batch=48), CPU) == []


def test_a_key_that_only_one_config_has_is_null_in_the_other() -> None:
    run = frozen(CPU, sbatch={"begin": "now+1hour", "nice": None})
    assert differences(run, frozen(CPU)) == [("cluster.sbatch.begin", '"now+1hour"', "null")]
