from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from yoloscale.backends.check import validate
from yoloscale.bench.commands import ours, yolo, yolo_arguments
from yoloscale.bench.machine import cpu_model, describe_machine
from yoloscale.bench.plan import Settings, make_plan, take_apart
from yoloscale.config.compose.hydra import compose
from yoloscale.config.resolve import resolve
from yoloscale.config.schema import Config, Device
from yoloscale.errors import ConfigError
from yoloscale.system.machine import Machine

CPU = Machine(gpu_count=0, cpus=2, has_bf16=True)
BENCH = "--config-name=bench"


def config_of(*tokens: str, machine: Machine = CPU) -> Config:
    composed = compose([BENCH, *tokens])
    return replace(resolve(composed, machine), amp=composed.amp)


def test_what_bench_composes_is_valid_and_small() -> None:
    config = resolve(compose([BENCH]), CPU)
    assert validate(config, CPU) == []
    assert (config.model.weights, config.batch, config.imgsz) == (None, 16, 320)
    assert config.data.shapes is not None
    assert config.data.shapes.train_images == 1024


def test_a_typed_key_and_a_recipe_win_over_the_benchmarks() -> None:
    assert compose([BENCH, "epochs=7"]).epochs == 7
    assert compose([BENCH, "experiment=smoke"]).imgsz == 64


def test_yolo_is_told_what_differs_from_its_defaults_only() -> None:
    arguments = yolo_arguments(config_of(), Path("/d/data.yaml"), None, {})
    assert arguments == {
        "model": "yolo26n.yaml",
        "pretrained": False,
        "data": "/d/data.yaml",
        "epochs": 2,
        "batch": 16,
        "imgsz": 320,
        "seed": 0,
        "nbs": 16,
        "close_mosaic": 0,
        "device": "cpu",
    }


def test_yolo_gets_the_precision_that_was_typed_not_what_ours_makes_of_it() -> None:
    assert resolve(compose([BENCH]), CPU).amp == "bf16"
    assert "amp" not in yolo_arguments(config_of(), Path("d"), None, {})
    assert yolo_arguments(config_of("amp=false"), Path("d"), None, {})["amp"] is False


def test_yolo_keeps_its_cache_unless_told() -> None:
    assert "cache" not in yolo_arguments(config_of("cache=disk"), Path("d"), None, {})
    assert yolo_arguments(config_of(), Path("d"), None, {"cache": "ram"})["cache"] == "ram"


def test_weights_are_the_model_or_what_it_starts_from() -> None:
    weights = Path("/w/yolo26n.pt")
    assert yolo_arguments(config_of("model=yolo26n"), Path("d"), weights, {})["model"] == "/w/yolo26n.pt"
    config = config_of("model=yolo26s.yaml", "pretrained=/w/yolo26n.pt")
    arguments = yolo_arguments(config, Path("d"), weights, {})
    assert (arguments["model"], arguments["pretrained"]) == ("yolo26s.yaml", "/w/yolo26n.pt")


@pytest.mark.parametrize(
    ("tokens", "device"), [([], "0,1,2,3"), (["device=2,3"], "2,3"), (["cluster.procs_per_node=1"], "0")]
)
def test_yolo_computes_on_the_same_gpus(tokens: list[str], device: str) -> None:
    config = config_of(*tokens, machine=Machine(gpu_count=4, cpus=32, has_bf16=True))
    assert config.cluster.device is Device.cuda
    assert yolo_arguments(config, Path("d"), None, {})["device"] == device


def test_our_command_lands_in_the_folder_whatever_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "it's a $(folder), really"
    argv = ours(["epochs=3", "name=mine", "paths.runs=elsewhere"], folder, "ours-1")
    config = compose(argv[4:])
    assert (config.paths.runs, config.name, config.epochs) == (str(folder), "ours-1", 3)
    assert compose(argv[4:]).data.shapes == compose([BENCH]).data.shapes


def test_the_folder_of_yolo_is_one_word_of_its_command(tmp_path: Path) -> None:
    assert yolo({"epochs": 1}, tmp_path / "a b", "yolo-1")[3:] == [
        "train",
        "epochs=1",
        f"project={tmp_path / 'a b'}",
        "name=yolo-1",
    ]


def test_a_command_line_is_taken_apart() -> None:
    typed = take_apart(
        ["epochs=1", "bench.repeats=5", "-o", "json", "bench.yolo=[cache=ram,workers=2]", "--dry-run"], Settings
    )
    assert (typed.settings.repeats, typed.settings.yolo) == (5, ["cache=ram", "workers=2"])
    assert (typed.as_json, typed.is_dry, typed.rest) == (True, True, ["epochs=1"])


@pytest.mark.parametrize(
    ("tokens", "key"),
    [
        (["bench.repeats=0"], "bench.repeats"),
        (["bench.repeats=often"], "bench"),
        (["bench.repeat=2"], "bench"),
        (["bench.yolo=[cache]"], "bench.yolo"),
        (["-o", "xml"], "-o"),
    ],
)
def test_bad_keys_of_the_benchmark_are_named(tokens: list[str], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        take_apart(tokens, Settings)
    assert [problem.key for problem in caught.value.problems] == [key]


def test_what_the_sides_cannot_share_is_refused_together() -> None:
    tokens = ["device=cpu", "time=1", "cluster.nodes=2", "cluster.rdzv_endpoint=a:1"]
    with pytest.raises(ConfigError) as caught:
        make_plan(take_apart(tokens, Settings))
    assert {problem.key for problem in caught.value.problems} == {"cluster.nodes", "time"}


def test_a_second_measurement_has_a_folder_of_its_own(tmp_path: Path) -> None:
    typed = take_apart([f"paths.runs={tmp_path}", "device=cpu"], Settings)
    first = make_plan(typed).folder
    first.mkdir(parents=True)
    assert first == tmp_path / "bench" / "yolo26n-shapes"
    assert make_plan(typed).folder == tmp_path / "bench" / "yolo26n-shapes-2"


def test_the_machine_is_described() -> None:
    assert cpu_model("model name\t: AMD EPYC\nflags\t: fpu avx2 avx512f") == "AMD EPYC (avx2, avx512f)"
    assert cpu_model("") == ""
    machine = describe_machine()
    assert machine["cpus"] >= 1
    assert machine["torch"] != "not installed"
