from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

from yoloscale.errors import ConfigError
from yoloscale.runs.listing import find


def make(folder: Path, *, epochs: int, done: int, weights: tuple[str, ...] = ("best.pt", "last.pt")) -> Path:
    """A folder as `yolo train` leaves it."""
    (folder / "weights").mkdir(parents=True)
    arguments = {"task": "detect", "mode": "train", "model": "yolo26n.yaml", "data": "coco8.yaml", "epochs": epochs}
    (folder / "args.yaml").write_text(yaml.safe_dump(arguments))
    lines = ["                  epoch,      time", *(f"{epoch},1.5" for epoch in range(1, done + 1))]
    (folder / "results.csv").write_text("\n".join(lines))
    for name in weights:
        (folder / "weights" / name).write_bytes(b"\x80")
    return folder


def told(word: str) -> tuple[str, list[str]]:
    with pytest.raises(ConfigError) as error:
        find(word, Path("runs"))
    (problem,) = error.value.problems
    return problem.found, shlex.split(problem.instead.split("`")[1])


@pytest.mark.parametrize("within", ["", "/", "/weights", "/weights/last.pt", "/args.yaml", "/results.csv"])
def test_any_path_of_an_ultralytics_run_tells_what_trains_on_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, within: str
) -> None:
    make(tmp_path / "my runs" / "exp", epochs=100, done=30)
    monkeypatch.chdir(tmp_path)
    found, command = told(f"my runs/exp{within}")
    assert "cannot be resumed exactly" in found
    assert "30 of 100 epochs" in found
    words = ["cfg=my runs/exp/args.yaml", "model=my runs/exp/weights/last.pt", "epochs=70", "name=exp-2"]
    assert command == ["yoloscale", "train", *words]


@pytest.mark.parametrize("named", ["best.pt", "epoch20.pt"])
def test_the_weights_that_were_named_are_trained_on(tmp_path: Path, named: str) -> None:
    run = make(tmp_path / "exp", epochs=100, done=100, weights=("last.pt", named))
    _, command = told(f"{run}/weights/{named}")
    assert command[2:] == [f"cfg={run}/args.yaml", f"model={run}/weights/{named}", "name=exp-2"], (
        "of a finished run, all"
    )


def test_a_run_that_was_stopped_before_it_had_weights_starts_anew(tmp_path: Path) -> None:
    run = make(tmp_path / "exp", epochs=3, done=0, weights=())
    assert told(str(run))[1] == ["yoloscale", "train", f"cfg={run}/args.yaml", "name=exp-2"]


def test_loose_weights_are_trained_on(tmp_path: Path) -> None:
    (tmp_path / "old best.pt").write_bytes(b"\x80")
    found, command = told(str(tmp_path / "old best.pt"))
    assert "lies in no run" in found
    assert command[:3] == ["yoloscale", "train", f"model={tmp_path / 'old best.pt'}"]


def test_what_is_no_run_at_all_is_still_no_run(tmp_path: Path) -> None:
    (tmp_path / "args.yaml").write_text("optimizer: adam")  # of another program
    (tmp_path / "notes.txt").touch()
    for word in (tmp_path, tmp_path / "notes.txt", tmp_path / "absent"):
        with pytest.raises(ConfigError, match=r"is no run below|is not in a run|there is no"):
            find(str(word), Path("runs"))
