from __future__ import annotations

from pathlib import Path

import pytest
from tests.run_events import write_event

from yoloscale.errors import ConfigError
from yoloscale.runs.directory import RunDirectory
from yoloscale.runs.listing import all_runs, find, find_sweep
from yoloscale.runs.sweep_directory import SweepDirectory, SweepPoint, SweepRecord, write


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "config.yaml").write_text("{}")


def test_only_folders_with_a_config_are_runs(tmp_path: Path) -> None:
    make(tmp_path, "one", "it's $(touch x)")
    (tmp_path / "no run").mkdir()
    (tmp_path / "file").touch()
    assert {run.name for run in all_runs(tmp_path)} == {"one", "it's $(touch x)"}
    assert all_runs(tmp_path / "absent") == []


def test_a_run_is_found_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a b")
    assert find("a b", tmp_path).path == tmp_path / "a b"
    assert find(str(tmp_path / "a b"), Path("elsewhere")).name == "a b"
    monkeypatch.chdir(tmp_path / "a b")
    assert find(".", Path("runs")).name == "a b", "the run one stands in"


INNER = [
    *("weights/last.pt", "weights/best.pt", "weights", "checkpoints/step-000000007", "config.yaml"),
    *("checkpoints/step-000000007/state.pt", "logs/attempt-1/rank-0.log", "job/slurm-41.out", "results.csv", ""),
]


@pytest.mark.parametrize("inner", INNER)
def test_a_run_is_found_by_the_path_of_anything_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inner: str
) -> None:
    make(tmp_path, "runs/one", "runs/many/a=1")
    write(SweepDirectory(tmp_path / "runs" / "many"), SweepRecord((), (SweepPoint(0, "a=1", ()),)))
    for run in ("one", "many/a=1"):
        (tmp_path / "runs" / run / "job").mkdir()
        file = tmp_path / "runs" / run / inner
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch() if file.suffix else file.mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for run in ("one", "many/a=1"):
        for typed in (
            f"runs/{run}/{inner}",
            f"{run}/{inner}",
            f"./runs/{run}/{inner}/",
            f"{tmp_path}/runs/{run}/{inner}",
        ):
            assert find(typed, Path("runs")).path == tmp_path / "runs" / run, typed
            assert find_sweep(typed, Path("runs")) is None, typed
    monkeypatch.chdir(file.parent)
    assert find(file.name, Path("runs")).path == tmp_path / "runs" / "many" / "a=1", "from within"


def test_weights_that_are_not_there_yet_are_of_their_run_and_other_paths_are_not(tmp_path: Path) -> None:
    make(tmp_path, "one", "project")
    (tmp_path / "one" / "job").mkdir()
    assert find(f"{tmp_path}/one/weights/best.pt", Path("runs")).name == "one"
    (tmp_path / "project" / "data.yaml").touch()  # its config.yaml is somebody else's
    for typed in ("one/notes.txt", "project/data.yaml"):
        with pytest.raises(ConfigError, match=r"is not in a run|there is no '/"):
            find(f"{tmp_path}/{typed}", Path("runs"))


def test_a_sweep_is_found_by_the_path_of_what_lies_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "runs/many/a=1")
    write(SweepDirectory(tmp_path / "runs" / "many"), SweepRecord((), (SweepPoint(0, "a=1", ()),)))
    (tmp_path / "runs" / "many" / "report.md").touch()
    monkeypatch.chdir(tmp_path)
    for typed in ("many/", "runs/many", "runs/many/sweep.yaml", "many/sweep.yaml", "runs/many/report.md"):
        found = find_sweep(typed, Path("runs"))
        assert found is not None, typed
        assert found.path == tmp_path / "runs" / "many"
        with pytest.raises(ConfigError) as error:
            find(typed, Path("runs"))
        assert "many/a=1" in error.value.problems[0].instead


def test_a_path_that_is_no_run_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "their runs", "one")
    monkeypatch.chdir(tmp_path)
    said = {
        "their runs": "RUN: 'their runs' is a folder of runs\n    write 'their runs/one'",
        str(tmp_path): f"RUN: {str(tmp_path)!r} is not in a run\n    there are no runs in runs yet; ",
        "gone/one": "RUN: there is no 'gone/one'\n    there are no runs in runs yet; ",
        "one": "RUN: 'one' is no run below runs\n    there are no runs in runs yet; ",
    }
    for typed, words in said.items():
        with pytest.raises(ConfigError) as raised:
            find(typed, Path("runs"))
        assert str(raised.value).startswith(words)


def test_near_names_are_suggested(tmp_path: Path) -> None:
    make(tmp_path, "yolo26n-coco8", "other")
    with pytest.raises(ConfigError, match="did you mean 'yolo26n-coco8'"):
        find("yolo26-coco8", tmp_path)
    with pytest.raises(ConfigError, match="no run below"):
        find("", tmp_path)


def test_a_run_is_found_by_its_job(tmp_path: Path) -> None:
    make(tmp_path, "one", "two", "42")
    submissions = [("one", "41"), ("42", "41"), ("two", "41"), ("one", "43"), ("two", "21_3"), ("42", "41")]
    for time, (name, job) in enumerate(submissions):
        write_event(RunDirectory(tmp_path / name), "submitted", job=job, time=time)
    by_hand = {"attempt": 1, "host": "node1", "pid": 7, "start": "51.0.0"}
    write_event(RunDirectory(tmp_path / "one"), "attempt_launched", **by_hand)
    assert find("43", tmp_path).name == find("slurm:43", tmp_path).name == "one"
    assert find("21_3", tmp_path).name == "two"
    assert find("51", tmp_path).name == "one", "in an allocation"
    assert find("41", tmp_path).name == "42", "numbers come again: the newest"
    assert find("42", tmp_path).name == "42", "a run of that name wins"
    for absent in ("4", "1", "21_4"):
        with pytest.raises(ConfigError, match="no run below"):
            find(absent, tmp_path)


def test_a_sweep_is_found_by_its_array(tmp_path: Path) -> None:
    make(tmp_path, "sweep/lr0=1", "sweep/lr0=2", "other/a", "22", "run")
    for name in ("sweep", "other"):
        points = tuple(SweepPoint(index, run.name, ()) for index, run in enumerate(all_runs(tmp_path / name)))
        write(SweepDirectory(tmp_path / name), SweepRecord((), points))
    jobs = [("sweep/lr0=1", "21_0"), ("sweep/lr0=2", "21_1"), ("other/a", "22_0"), ("sweep/lr0=2", "23"), ("run", "24")]
    for time, (name, job) in enumerate(jobs):
        write_event(RunDirectory(tmp_path / name), "submitted", job=job, time=time)

    def named(word: str) -> str | None:
        found = find_sweep(word, tmp_path)
        return found.name if found is not None else None

    assert [named(word) for word in ("21", "sweep", "22", "23", "24", "2", "21_0")] == ["sweep", "sweep", *[None] * 5]
    assert find("23", tmp_path).name == "lr0=2", "a point that was submitted alone"
    with pytest.raises(ConfigError, match="'21' is a sweep of 2 runs") as error:
        find("21", tmp_path)
    assert error.value.problems[0].instead == "give one of its runs, like sweep/lr0=1"
