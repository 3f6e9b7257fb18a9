"""Every YAML under configs/, and every command that their comments show."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import pytest

from yoloscale.agent.attempt import command as start_command
from yoloscale.agent.spec import node_spec
from yoloscale.backends.base import job_for
from yoloscale.backends.check import validate
from yoloscale.backends.slurm.render import script_of
from yoloscale.config.compose.catalog import read_catalog, task_of_architecture
from yoloscale.config.compose.flags import split
from yoloscale.config.compose.help import help_of, train_help
from yoloscale.config.compose.hydra import compose, compose_run
from yoloscale.config.freeze import freeze, load
from yoloscale.config.kinds import KINDS
from yoloscale.config.locations import configs_folder
from yoloscale.config.resolve import resolve
from yoloscale.config.schema import Config, RunConfig
from yoloscale.config.schema.sweep import SweepConfig
from yoloscale.sweep.configure import configure_all
from yoloscale.sweep.effects import useless
from yoloscale.sweep.grammar.points import Point, expand
from yoloscale.sweep.grammar.space import read_space
from yoloscale.system.machine import Machine

FIRST_POINTS = 8  # of a sweep that a comment shows
EIGHT_GPUS = Machine(gpu_count=8, cpus=64, has_bf16=True)
CATALOG = read_catalog([configs_folder()])
MODELS = [name for name in CATALOG.groups["model"] if name != "custom"]
DATASETS = [name for name in CATALOG.groups["data"] if name != "custom"]
PAIRS = [f"model={model} data={data or 'shapes'}" for model, data in zip_longest(MODELS, DATASETS) if model]
OTHERS = [
    f"{group}={option}"
    for group, options in CATALOG.groups.items()
    if group not in ("model", "data", "local")
    for option in options
]


def commands_in(text: str, verb: str = "train") -> list[str]:
    """`yoloscale train …` up to a remark, which stands behind two spaces or more."""
    found = re.findall(rf"^(?:#|) +yoloscale {verb}(.*)$", text, re.MULTILINE)
    return [re.split(r" {2,}", command)[0].strip() for command in found]


def shown_commands() -> list[str]:
    """The commands of the help text and of the YAML comments; of the uniform ones in model/ and data/ a few."""
    uniform = ("yolo26n.yaml", "yolo26n-sem.yaml", "rtdetr-l.yaml", "coco8.yaml", "imagenet10.yaml", "cityscapes8.yaml")
    commands = commands_in(train_help())
    for file in configs_folder().rglob("*.yaml"):
        is_uniform = file.parent.name in ("model", "data") and file.name not in (
            "shapes.yaml",
            "trees.yaml",
            "custom.yaml",
        )
        if not is_uniform or file.name in uniform:
            commands += commands_in(file.read_text(encoding="utf-8"))
    return sorted(set(commands) - {""})


def points(words: list[str]) -> list[Point]:
    """Of a sweep all; of a search those that show that all others are right, too."""
    return read_space(words).probes(frozenset(CATALOG.groups)) if has_search_in(words) else expand(words)


def has_search_in(words: list[str]) -> bool:
    return any(word.startswith("sweep=") and has_search(word.removeprefix("sweep=")) for word in words)


def has_search(name: str) -> bool:
    return "\nsearch:\n" in (configs_folder() / "sweep" / f"{name}.yaml").read_text(encoding="utf-8")


def started(command: str) -> Config:
    words = [word for word in shlex.split(command) if word not in ("--cfg", "job", "--dry-run")]
    if "-m" in words:
        searched = has_search_in(words)
        sweep = configure_all(points(words)[: None if searched else FIRST_POINTS], EIGHT_GPUS, are_probes=searched)
        assert not searched or useless(read_space(words), [each.composed for each in sweep.points])[0] == []
        return sweep.first
    config = resolve(compose(words), EIGHT_GPUS)
    assert validate(config, EIGHT_GPUS) == []
    return config


@pytest.mark.parametrize("command", [*PAIRS, *OTHERS])
def test_every_file_composes_validates_freezes_and_renders(command: str, tmp_path: Path) -> None:
    config = started(command if "experiment" in command else f"{command} batch={32 if 'cluster=' in command else 16}")
    freeze(config, tmp_path / "config.yaml")
    assert load(tmp_path / "config.yaml") == replace(config, sweep=SweepConfig())
    if config.cluster.launcher == "slurm":
        script = script_of(job_for(config, tmp_path / "run", tuple(shlex.split(command))))
        read = subprocess.run(["bash", "-n"], input=script, capture_output=True, timeout=300, check=False)
        assert (read.returncode, read.stderr) == (0, b"")
    argv, variables = start_command(node_spec(config, tmp_path / "run", attempt=1, job_id="job"))
    assert argv[-2:] == ["yoloscale.worker", str(tmp_path / "run")]
    assert f"--nproc-per-node={config.cluster.procs_per_node}" in argv
    assert variables["YOLOSCALE_ATTEMPT"] == "1"


@pytest.mark.parametrize("command", shown_commands())
def test_every_command_shown_starts(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "path" / "to").mkdir(parents=True)
    (tmp_path / "path" / "to" / "architecture.yaml").write_text("head: [[-1, 1, Detect, [nc]]]")
    extra = " batch=16" if "batch=" not in command and "procs_per_node" not in command else ""
    started(command + extra)


def shown_of_inference() -> list[tuple[str, str]]:
    """Verb and command, of the help texts and the primary configs."""
    texts = {
        kind: help_of(kind) + (configs_folder() / f"{KINDS[kind].primary}.yaml").read_text(encoding="utf-8")
        for kind in ("predict", "val")
    }
    shown = [(kind, command) for kind, text in texts.items() for command in sorted({*commands_in(text, kind)})]
    return [(kind, command) for kind, command in shown if "--cfg" not in command]  # that one starts nothing


@pytest.mark.parametrize(("kind", "command"), shown_of_inference())
def test_every_command_shown_of_the_other_kinds_starts(
    kind: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    weights = tmp_path / "runs" / "RUN" / "weights" / "best.pt"
    weights.parent.mkdir(parents=True)
    weights.touch()
    (weights.parent.parent / "job").mkdir()
    freeze(Config(), weights.parent.parent / "config.yaml")
    config = resolve(compose_run(split(shlex.split(command), kind=kind)), EIGHT_GPUS)
    assert config.kind == kind
    assert validate(config, EIGHT_GPUS) == []
    freeze(config, tmp_path / "config.yaml")
    assert load(tmp_path / "config.yaml", of=RunConfig) == config


def test_all_datasets_of_the_installed_ultralytics_have_a_file() -> None:
    assert set(CATALOG.datasets) <= {name.lower() for name in DATASETS}
    assert len(DATASETS) <= len(MODELS), "zip the other way round"


@pytest.mark.parametrize("name", MODELS)
def test_models_name_an_architecture_of_the_installed_ultralytics_for_their_task(name: str) -> None:
    stem = "yolo26n" if name == "default" else name
    file = CATALOG.architecture(stem)
    assert file is not None
    text = (configs_folder() / "model" / f"{stem}.yaml").read_text(encoding="utf-8")
    task = task_of_architecture(file)
    assert task is not None
    assert f"task: {task.value}\n" in text
    assert f"architecture: {stem}.yaml\n" in text


def test_every_size_and_task_is_there() -> None:
    variants = {"yolo26": ("", "-seg", "-pose", "-obb", "-cls", "-sem", "-depth"), "rtdetr": ("-l", "-x")}
    variants |= dict.fromkeys(("yolo11", "yolov8"), ("", "-seg", "-pose", "-obb", "-cls"))
    wanted = {
        f"{family}{size}{suffix}"
        for family, suffixes in variants.items()
        for size in ("nsmlx" if family != "rtdetr" else [""])
        for suffix in suffixes
    }
    assert wanted | {"rtdetr-resnet50", "rtdetr-resnet101"} <= set(MODELS)
