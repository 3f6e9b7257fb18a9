from __future__ import annotations

import errno
import multiprocessing
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.run_events import lines_of, write_event

from yoloscale.backends.run_lock import lock
from yoloscale.config import resolve as resolve_module
from yoloscale.config.freeze import id_in, load, load_own
from yoloscale.errors import ConfigError
from yoloscale.launch import configure as launch_configure
from yoloscale.launch.configure import configure
from yoloscale.launch.run_folder import create_or_resume
from yoloscale.runs import sweep_directory
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.listing import all_runs, all_sweeps, find, find_sweep
from yoloscale.runs.sweep_directory import SweepDirectory, is_sweep
from yoloscale.sweep import freeze as freeze_module
from yoloscale.sweep.configure import configure_all
from yoloscale.sweep.directory import take
from yoloscale.sweep.freeze import freeze_all, proposed_directory
from yoloscale.sweep.grammar.points import expand
from yoloscale.sweep.prepare import prepare_all
from yoloscale.sweep.start import sweep_request
from yoloscale.system.machine import Machine
from yoloscale.system.remarks import silent

from .conftest import TWO_CPUS, Configured, Frozen

FOUR_GPUS = Machine(gpu_count=4, cpus=32, has_bf16=False)


def problems(raised: pytest.ExceptionInfo[ConfigError]) -> dict[str, str]:
    return {problem.key: f"{problem.found} | {problem.instead}" for problem in raised.value.problems}


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_each_point_is_frozen_as_if_it_was_claimed_alone(
    frozen: Frozen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = ["weight_decay=0.01,0.1", "model=yolo26n,yolo26n.yaml", "epochs=3", "amp=true", "logger=wandb"]
    typed += ["logger.wandb.group=${model.name}", "batch=32", "device=cpu"]
    taken = frozen(*typed, "name=s")
    monkeypatch.setattr(launch_configure, "task_of", lambda path: None)
    monkeypatch.setattr(resolve_module, "this_machine", lambda: TWO_CPUS)
    points = expand(typed)
    assert [point.name for point in taken.directory.points()] == [
        f"weight_decay={weight_decay},model={model}"
        for weight_decay in ("0.01", "0.1")
        for model in ("yolo26n", "yolo26n.yaml")
    ]
    for point, run in zip(points, taken.directory.runs(), strict=True):
        alone = configure([*point.tokens, f"name={run.name}", "paths.runs=alone"])
        create_or_resume(alone, list(point.tokens)).release()
        here, there = files(run.path), files(tmp_path / "alone" / run.name)
        ids = [id_in(of["config.yaml"].encode()) for of in (here, there)]
        assert all(ids), "each has one of its own"
        for of in (here, there):
            of["config.yaml"] = re.sub(r"(?m)^id: .*$", "id:", of["config.yaml"])  # in quotes, if it reads as a number
        assert there.pop("job/lock") == f"{ids[1]}\n"
        assert here == there
        assert (run.path / "job").is_dir()
    assert len({id_in(run.config.read_bytes()) for run in taken.directory.runs()}) == len(points)


def test_the_record(frozen: Frozen) -> None:
    sweep = frozen("name=s", "epochs=3", "weight_decay=0.1,0.2").directory
    assert sweep.path == Path("runs/s").absolute()
    assert yaml.safe_load(sweep.record.read_text()) == {
        "version": 1,
        "overrides": ["name=s", "epochs=3", "weight_decay=0.1,0.2"],
        "settings": {"params": {}, "parallel": None, "max_failures": None, "search": None},
        "points": [
            {"name": "weight_decay=0.1", "overrides": ["weight_decay=0.1"], "values": {"weight_decay": "0.1"}},
            {"name": "weight_decay=0.2", "overrides": ["weight_decay=0.2"], "values": {"weight_decay": "0.2"}},
        ],
    }
    assert sweep.run_of(1) == sweep.run("weight_decay=0.2")
    assert yaml.safe_load(sweep.run_of(1).overrides.read_text()) == ["epochs=3", "weight_decay=0.2"]
    assert load(sweep.run_of(1).config).name == "weight_decay=0.2"
    with pytest.raises(ConfigError, match="points 0 to 1"):
        sweep.run_of(2)


@pytest.mark.parametrize(
    "content", ["", "{", "version: 2", "version: 1", "version: 1\noverrides: []\npoints: [3]", "3"]
)
def test_a_damaged_record_says_so(tmp_path: Path, content: str) -> None:
    sweep = SweepDirectory(tmp_path)
    with pytest.raises(ConfigError, match=r"no sweep\.yaml"):
        sweep.points()
    sweep.record.write_text(content)
    with pytest.raises(ConfigError, match="not a sweep of this version"):
        sweep.points()


def test_names_of_sweeps(configured: Configured, frozen: Frozen) -> None:
    proposed = []
    for _ in range(2):
        sweep = configured("weight_decay=0.1,0.2", "model=yolo26n", "data=coco8")
        proposed.append(proposed_directory(sweep).name)
        assert frozen("weight_decay=0.1,0.2", "model=yolo26n", "data=coco8").directory.name == proposed[-1]
    assert proposed == ["yolo26n-coco8-sweep", "yolo26n-coco8-sweep-2"]
    assert configured("model=yolo26n,yolo26s", "data=coco8").default_name == "coco8-sweep"
    assert configured("model=yolo26n,yolo26s", "data=coco8,coco").default_name == "sweep"


def test_sweeps_are_listed_and_their_runs_found(frozen: Frozen) -> None:
    frozen("name=s", "weight_decay=0.1,0.2")
    runs = Path("runs")
    assert [sweep.name for sweep in all_sweeps(runs)] == ["s"]
    assert all_sweeps(Path("absent")) == []
    assert all_runs(runs) == []
    assert [run.name for run in all_runs(runs / "s")] == ["weight_decay=0.1", "weight_decay=0.2"]
    assert find("s/weight_decay=0.1", runs).path == Path("runs/s/weight_decay=0.1").absolute()
    assert find_sweep("s", runs) == find_sweep("runs/s", Path("elsewhere")) == SweepDirectory(Path("runs/s").absolute())
    assert find_sweep("t", runs) is None
    with pytest.raises(ConfigError, match=r"sweep of 2 runs\n.*s/weight_decay=0.1"):
        find("s", runs)


@pytest.mark.parametrize(
    ("typed", "key", "said"),
    [
        (["weight_decay=0.1,2"], "weight_decay", "2.0 (point weight_decay=2) | write at least 0, at most 1"),
        (["weight_decay=0.1,2,3", "epochs=0"], "epochs", "0 | write at least 1"),
        (["weight_decay=0.1,0.2", "batch=16,17"], "batch", "(2 of 4 points, the first: weight_decay=0.1,batch=17)"),
        (["weight_decay=abc,0.2", "epohcs=3"], "epohcs", "no such key | did you mean epochs"),
        (["weight_decay=0.1,abc"], "weight_decay", "'abc' (point weight_decay=abc) | write a number"),
        (["model=yolo26n,nope", "seed=0,1"], "model", "(2 of 4 points, the first: model=nope,seed=0)"),
        (["experiment=smoke,smok"], "experiment", "(point experiment=smok)"),
        (["weight_decay=0.1,0.10"], "--multirun", "weight_decay=0.1 is the same run as weight_decay=0.1"),
        (["model=yolo26n,yolo26n.pt"], "--multirun", "model=yolo26n.pt is the same run as model=yolo26n"),
        (["weight_decay=0.1,0.2", "name=a${weight_decay}"], "name", "the points differ in it"),
        (["weight_decay=0.1,0.2", "cluster.planned_ranks=2"], "cluster.planned_ranks", "leave it out"),
        (["seed=1,2", "cluster.max_restarts='${seed}'"], "cluster.max_restarts", "one job array"),
    ],
)
def test_problems_of_points(configured: Configured, typed: list[str], key: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        configured(*typed)
    assert said in problems(raised)[key]
    assert not Path("runs").exists()


def test_a_recipe_gives_some_points_another_cluster(configured: Configured, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    for ranks in (1, 2):
        (tmp_path / "experiment" / f"r{ranks}.yaml").write_text(
            f"# @package _global_\ncluster:\n  procs_per_node: {ranks}\n"
        )
    with pytest.raises(ConfigError) as raised:
        configured("--config-dir", str(tmp_path), "experiment=r1,r2")
    assert "1 in point experiment=r1, 2 in point experiment=r2" in problems(raised)["cluster.procs_per_node"]


def test_of_very_many_problems_some_are_shown(configured: Configured) -> None:
    with pytest.raises(ConfigError) as raised:
        configured("weight_decay=range(2,502)")
    assert len(raised.value.problems) == 11
    assert raised.value.problems[-1].found == "490 more problems"


def test_the_same_command_again_goes_on(frozen: Frozen) -> None:
    first = frozen("name=s", "seed=shuffle(range(0,20))")
    before = files(first.directory.path)
    again = frozen("name=s", "seed=shuffle(range(0,20))", machine=FOUR_GPUS)
    assert (first.is_new, again.is_new) == (True, False)
    assert files(first.directory.path) == before, "on another machine, too, and in the order of the first time"


def test_a_point_that_was_removed_comes_back(frozen: Frozen) -> None:
    sweep = frozen("name=s", "weight_decay=0.1,0.2").directory
    before = load(sweep.run_of(0).config)
    sweep.run_of(0).config.unlink()
    frozen("name=s", "weight_decay=0.1,0.2")
    again = load(sweep.run_of(0).config)
    assert again.id not in (None, before.id), "another run, which old ranks of the removed one do not take for theirs"
    assert again == replace(before, id=again.id)


def test_another_config_is_refused_with_the_difference(frozen: Frozen) -> None:
    before = files(frozen("name=s", "weight_decay=0.1,0.2", "epochs=3").directory.path)
    with pytest.raises(ConfigError) as raised:
        frozen("name=s", "weight_decay=0.1,0.2", "epochs=4", "seed=7")
    found = problems(raised)
    assert set(found) == {"epochs", "seed"}
    assert found["epochs"].startswith("3 in sweep 's' → 4 now | give another name=")
    with pytest.raises(
        ConfigError,
        match=r"only there: weight_decay=0\.2; "
        r"only here: weight_decay=0\.3, weight_decay=0\.4, weight_decay=0\.5 and 1 more",
    ):
        frozen("name=s", "weight_decay=0.1,0.3,0.4,0.5,0.6", "epochs=3")
    assert files(Path("runs/s")) == before


def test_points_go_on_elsewhere_unless_they_are_done_or_go_on(frozen: Frozen) -> None:
    sweep = frozen("name=s", "seed=range(0,4)", "cluster.time=60").directory
    fresh, started, busy, finished = sweep.runs()
    for run in (started, busy, finished):
        write_event(run, "attempt_started", attempt=1)
    finished.result.write_text("{}")
    held = lock(busy)
    frozen("name=s", "seed=range(0,4)", "cluster.time=120")
    held.release()
    assert [load(run.config).cluster.time for run in (fresh, started, busy, finished)] == ["120", "120", "60", "60"]
    assert [record["event"] for record in lines_of(started)][-1] == "moved"


@pytest.mark.parametrize("name", ["run", "folder", "file", "used"])
def test_what_is_no_sweep_is_left_alone(frozen: Frozen, name: str) -> None:
    runs = Path("runs")
    (runs / "folder").mkdir(parents=True)
    (runs / "folder" / "photo.jpg").touch()
    (runs / "file").touch()
    (runs / "run").mkdir()
    (runs / "run" / "config.yaml").write_text("{}")
    (runs / "used" / "weight_decay=0.1" / "logs").mkdir(parents=True)
    before = sorted(runs.rglob("*"))
    with pytest.raises(ConfigError) as raised:
        frozen(f"name={name}", "weight_decay=0.1,0.2")
    assert "give another name=" in problems(raised)["name"]
    assert sorted(runs.rglob("*")) == before


def test_a_sweep_whose_range_was_counted_in_binary_fractions_goes_on(frozen: Frozen) -> None:
    """As earlier versions froze it: the same command takes the third point for what it is."""
    sweep = frozen("name=s", "weight_decay=range(0.1,0.35,0.1)").directory
    old = sweep.run_of(2).config
    old.write_text(old.read_text().replace("weight_decay: 0.3\n", "weight_decay: 0.30000000000000004\n"))
    before = files(sweep.path)
    frozen("name=s", "weight_decay=range(0.1,0.35,0.1)")
    assert files(sweep.path) == before
    assert load(old).weight_decay == 0.1 + 0.2


@pytest.mark.parametrize("name", [["name=s"], []])
def test_of_a_new_sweep_that_cannot_be_written_nothing_stays(
    frozen: Frozen, monkeypatch: pytest.MonkeyPatch, name: list[str]
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(freeze_module, "write", full)
        with pytest.raises(OSError, match="No space left"):
            frozen(*name, "weight_decay=0.1,0.2")
    assert list(Path("runs").iterdir()) == []
    assert frozen(*name, "weight_decay=0.1,0.2").is_new


def test_a_batch_that_was_sized_is_looked_at_before_any_point_is_written(frozen: Frozen) -> None:
    words = ["name=s", "weight_decay=0.1,0.2", "batch=-1", "cluster.procs_per_node=1"]
    machine = Machine(gpu_count=2, cpus=8, has_bf16=True)
    first, second = frozen(*words, machine=machine).directory.runs()
    before = first.config.read_bytes()
    write_event(second, "training_started", attempt=1, batch=5)
    with pytest.raises(ConfigError, match="do not divide"):
        frozen(*words[:-1], "cluster.procs_per_node=2", machine=machine)
    assert first.config.read_bytes() == before


def test_a_freeze_that_was_killed_is_done_again(frozen: Frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every file that it writes: without sweep.yaml there is no sweep, and whatever was written is no hindrance."""

    class Killed(BaseException):
        pass

    written = []
    real_write, real_point = freeze_module.write, freeze_module.freeze_point

    def dies(*arguments: object) -> None:
        raise Killed

    monkeypatch.setattr(freeze_module, "write", dies)
    with pytest.raises(Killed):
        frozen("name=s", "weight_decay=0.1,0.2,0.3")
    assert not is_sweep(Path("runs/s"))
    assert all_sweeps(Path("runs")) == []
    RunDirectory(Path("runs/s/weight_decay=0.2").absolute()).config.write_text(
        ""
    )  # the power went before it was on disk

    def dies_at_the_second(*arguments: object) -> None:
        written.append(arguments)
        if len(written) == 2:
            raise Killed
        real_point(*arguments)

    monkeypatch.setattr(freeze_module, "freeze_point", dies_at_the_second)
    with pytest.raises(Killed):
        frozen("name=s", "weight_decay=0.1,0.2,0.4")
    monkeypatch.setattr(freeze_module, "freeze_point", real_point)
    monkeypatch.setattr(freeze_module, "write", real_write)
    sweep = frozen("name=s", "weight_decay=0.2,0.4").directory
    assert {entry.name for entry in sweep.path.iterdir()} == {
        "job",
        "sweep.yaml",
        "weight_decay=0.2",
        "weight_decay=0.4",
    }
    assert [load(run.config).weight_decay for run in sweep.runs()] == [0.2, 0.4]


def test_sweep_yaml_is_written_last(frozen: Frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []
    real = sweep_directory.write

    def write(sweep: SweepDirectory, record: sweep_directory.SweepRecord) -> None:
        seen.append({run.name for run in map(sweep.run, [p.name for p in record.points]) if load(run.config)})
        real(sweep, record)

    monkeypatch.setattr(freeze_module, "write", write)
    frozen("name=s", "weight_decay=0.1,0.2")
    assert seen == [{"weight_decay=0.1", "weight_decay=0.2"}]


def freeze_one(typed: list[str]) -> tuple[str, bool]:
    with freeze_all(configure_all(expand(typed), TWO_CPUS), typed) as taken:
        return taken.directory.name, taken.is_new


def test_two_at_once_freeze_one_sweep() -> None:
    typed = ["name=s", "seed=range(0,30)"]
    with multiprocessing.get_context("fork").Pool(4) as pool:
        done = pool.map(freeze_one, [typed] * 4)
        unnamed = pool.map(freeze_one, [typed[1:]] * 4)
    assert sorted(is_new for _, is_new in done) == [False, False, False, True]
    assert sorted(unnamed) == [(f"yolo26n-shapes-sweep{end}", True) for end in ("", "-2", "-3", "-4")]


def test_the_lock_is_waited_for_and_not_for_ever(tmp_path: Path) -> None:
    sweep = SweepDirectory(tmp_path / "s")
    with take(sweep):
        started = time.monotonic()
        with pytest.raises(ConfigError, match="by another command"):
            take(sweep, patience_s=0.2)
        assert time.monotonic() - started >= 0.2
    take(sweep, patience_s=0).release()


def test_without_locks_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    take(SweepDirectory(tmp_path / "s")).release()


def test_what_points_need_is_prepared_once(configured: Configured, tmp_path: Path) -> None:
    said: list[str] = []
    typed = ["data.shapes.train_images=8", "data.shapes.val_images=8", "data.shapes.image_size=64"]
    sweep = configured("weight_decay=0.1,0.2", "seed=range(0,3)", f"paths.cache={tmp_path}/cache", *typed)
    prepared = prepare_all(sweep, said.append)
    assert len([line for line in said if line.startswith("rendering")]) == 1
    assert [each.config.model.task for each in prepared.points] == ["detect"] * 6


def test_nothing_is_written_if_a_point_cannot_be_prepared(tmp_path: Path) -> None:
    typed = [
        "name=s",
        f"model=yolo26n.yaml,{tmp_path}/absent/no.pt",
        f"paths.cache={tmp_path}/cache",
        "data=absent/x.yaml",
    ]
    with pytest.raises(ConfigError) as raised:
        sweep_request(typed).take(silent)
    assert "point model=" in str(raised.value)
    assert not Path("runs").exists()


def test_a_thousand_points_are_not_composed_one_by_one() -> None:
    typed = [
        "weight_decay=" + ",".join(f"{n / 1000}" for n in range(1, 51)),
        "model=yolo26n,yolo26s",
        "seed=range(0,10)",
        "name=s",
    ]
    started = time.process_time()
    launch_configure.configure(["weight_decay=0.001", "model=yolo26n", "name=alone"])
    alone_s, started = time.process_time() - started, time.process_time()
    with freeze_all(configure_all(expand(typed)), typed) as taken:
        took_s = time.process_time() - started
    runs = taken.directory.runs()
    assert len(runs) == 1000
    assert {load_own(run.config).weight_decay for run in runs} == {n / 1000 for n in range(1, 51)}
    assert took_s < 100 * alone_s, "each at a tenth of what it takes alone, frozen, too"
