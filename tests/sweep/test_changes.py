"""A sweep whose points go on otherwise: where their data lies, and what changes nothing about their training."""

from __future__ import annotations

import resource
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from PIL import Image
from tests.run_events import lines_of
from tests.searches import ready as ready_search

from yoloscale.backends.run_lock import lock
from yoloscale.cli.sweep.verbs import resume, train
from yoloscale.config.compose.flags import split
from yoloscale.config.freeze import freeze, load
from yoloscale.config.schema import OriginConfig
from yoloscale.config.schema.sweep import SweepConfig
from yoloscale.errors import ConfigError
from yoloscale.runs.sweep_directory import SweepDirectory, read
from yoloscale.sweep.changes import _room_for_files, change_points, changed_settings
from yoloscale.sweep.search.ready import plan_search
from yoloscale.sweep.search.search import ask_point, open_search
from yoloscale.sweep.start import sweep_request
from yoloscale.system.remarks import silent

COMMON = ("name=s", "model=yolo26n.yaml", "device=cpu", "cluster.procs_per_node=1", "data=a/data.yaml", "optimizer=SGD")


@pytest.fixture(autouse=True)
def _dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLOSCALE_CACHE", str(tmp_path / "cache"))
    for part in ("train", "val"):
        for kind in ("images", "labels"):
            (tmp_path / "a" / kind / part).mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(tmp_path / "a" / "images" / part / "1.jpg")
        (tmp_path / "a" / "labels" / part / "1.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "a" / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a, b]\n")


def grid() -> SweepDirectory:
    tokens = [*COMMON, "lr0=0.1,0.2"]
    with sweep_request(tokens).take(silent) as taken:
        return taken.directory


def go_on(sweep: SweepDirectory, *tokens: str) -> list[str]:
    said: list[str] = []
    _, words = changed_settings(tokens, SweepConfig())
    change_points(sweep, sweep.runs(), words, said.append)
    return said


def test_all_points_go_on_with_data_that_was_moved(tmp_path: Path) -> None:
    sweep = grid()
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert go_on(sweep, "data=b/data.yaml", "workers=3", "checkpoint.keep=5") == []
    for run, rate in zip(sweep.runs(), (0.1, 0.2), strict=True):
        frozen = load(run.config)
        assert (frozen.lr0, frozen.workers, frozen.checkpoint.keep) == (rate, 3, 5)
        assert frozen.data.source == str(tmp_path / "b" / "data.yaml")
        typed = yaml.safe_load(run.overrides.read_text())
        assert f"data={tmp_path}/b/data.yaml" in typed
        assert "data=a/data.yaml" not in typed
        assert set(lines_of(run)[-1]["to"]) == {"data.source", "workers", "checkpoint.keep"}
    assert f"data={tmp_path}/b/data.yaml" in read(sweep).overrides
    with sweep_request([*COMMON[:-2], "data=b/data.yaml", COMMON[-1], "lr0=0.1,0.2", "workers=3"]).take(
        silent
    ) as taken:
        assert not taken.is_new, "and so does the sweep's own command"


def test_the_command_of_a_sweep_says_what_its_points_go_on_with_otherwise(tmp_path: Path) -> None:
    sweep = grid()
    (tmp_path / "a" / "labels" / "train" / "1.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    said: list[str] = []
    with sweep_request([*COMMON, "lr0=0.1,0.2"], said.append).take(said.append):
        pass
    assert len([line for line in said if "sweep 's' goes on with data" in line and "as it is now" in line]) == 1
    for run in sweep.runs():  # of a version that kept no fingerprint
        freeze(replace(load(run.config), origin=OriginConfig()), run.config)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    with pytest.raises(ConfigError, match=r"data\.source"):
        sweep_request([*COMMON, "lr0=0.1,0.2", "data=b/data.yaml"]).take(silent)


def test_what_would_make_points_incomparable_is_refused(tmp_path: Path) -> None:
    sweep = grid()
    before = [run.config.read_bytes() for run in sweep.runs()]
    for token in ("epochs=3", "batch=8", "lr0=0.5", "device=cpu", "cluster.threads=1", "model=yolo11n"):
        with pytest.raises(ConfigError, match="beside the name of a sweep"):
            go_on(sweep, token, "workers=0")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / "labels" / "train" / "1.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    with pytest.raises(ConfigError, match="its images, labels or classes are others"):
        go_on(sweep, "data=b/data.yaml")
    assert [run.config.read_bytes() for run in sweep.runs()] == before
    assert "data=a/data.yaml" in read(sweep).overrides


def test_nothing_is_written_while_somebody_has_a_point() -> None:
    sweep = grid()
    first, second = sweep.runs()
    before = [path.read_bytes() for path in (first.config, first.overrides, second.config, sweep.record)]
    second.job.mkdir(exist_ok=True)
    taken = lock(second)
    with pytest.raises(ConfigError, match=r"lr0=0\.2"):
        go_on(sweep, "workers=3")
    assert [path.read_bytes() for path in (first.config, first.overrides, second.config, sweep.record)] == before
    lock(first).release()
    taken.release()
    go_on(sweep, "workers=3")
    assert [load(run.config).workers for run in sweep.runs()] == [3, 3]


def test_a_command_that_is_refused_changes_no_point() -> None:
    sweep = grid()
    before = [run.config.read_bytes() for run in sweep.runs()]
    with pytest.raises(ConfigError, match=r"sweep\.parallel"):
        resume(sweep, ["workers=3", "sweep.parallel=9999"], failed_only=False, detach=False)
    assert [run.config.read_bytes() for run in sweep.runs()] == before


def test_data_that_is_gone_may_lie_elsewhere(tmp_path: Path) -> None:
    sweep = grid()
    shutil.move(tmp_path / "a", tmp_path / "b")
    with pytest.raises(ConfigError, match=r"yoloscale resume \S*/runs/s data=PATH"):
        resume(sweep, [], failed_only=False, detach=False)


def test_there_is_room_for_the_locks_of_many_points() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        with _room_for_files(600):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 600
        with _room_for_files(10):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 512
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 512
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_points_than_files_may_be_open_here_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (512, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: None)
    with pytest.raises(ConfigError, match=r"5000 points, .* 4096 may be here \(`ulimit -Hn`\)"), _room_for_files(5000):
        pass
    with _room_for_files(3000):
        pass


@pytest.mark.parametrize("where", [[], ["cluster=slurm"]])
def test_a_dry_run_says_what_happens_to_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], where: list[str]
) -> None:
    grid()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.make_archive(str(tmp_path / "c"), "zip", tmp_path / "b")
    for data, said in (("b/data.yaml", "is compared with that of sweep 's'"), ("c.zip", "c.zip")):
        tokens = ["-m", *COMMON, f"data={data}", "lr0=0.1,0.2", *where]
        assert train(split(tokens), dry_run=True, prepare=False, detach=False) == 0
        told = capsys.readouterr().err
        assert len([line for line in told.splitlines() if said in line]) >= 1
        assert len(set(told.splitlines())) == len(told.splitlines()), "each once"


def test_what_the_points_differ_in_stays() -> None:
    with sweep_request([*COMMON, "workers=1,2"]).take(silent) as taken:
        pass
    with pytest.raises(ConfigError, match="what the points differ in"):
        go_on(taken.directory, "workers=0")


def test_points_of_a_search_that_are_still_to_come_go_on_so_too(tmp_path: Path) -> None:
    tokens = [*COMMON, "sweep=random", "sweep.search.trials=3", "lr0=interval(0.001,0.1)"]
    search = ready_search(plan_search(tokens), lambda _: None)
    first = ask_point(search, 0)
    assert first is not None
    shutil.move(tmp_path / "a", tmp_path / "b")
    go_on(search.sweep, "data=b/data.yaml", "workers=3")
    moved = str(tmp_path / "b" / "data.yaml")
    assert load(search.sweep.base).data.source == load(first[0].config).data.source == moved
    second = ask_point(open_search(search.sweep), 1)
    assert second is not None
    assert second[1] is None
    frozen = load(second[0].config)
    assert (frozen.data.source, frozen.workers) == (moved, 3)
    with pytest.raises(ConfigError, match="what the points differ in"):
        change_points(search.sweep, [], ["lr0=0.1"], print)
