"""`data=[a,b]` means what it means in Ultralytics: a run for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from yoloscale.cli.main import main
from yoloscale.config.compose.each_dataset import elements, with_each_dataset
from yoloscale.errors import ConfigError
from yoloscale.launch.configure import configure
from yoloscale.sweep.configure import configure_all
from yoloscale.sweep.grammar.points import expand


@pytest.mark.parametrize(
    ("typed", "datasets"),
    [
        (["data=[a.yaml,b.yaml]"], "'a.yaml','b.yaml'"),
        (["data=['a b.yaml', \"it's.yaml\"]"], r"'a b.yaml','it\'s.yaml'"),
        (["data=[a.yaml,", "b.yaml,", "c.yaml]"], "'a.yaml','b.yaml','c.yaml'"),
        (["data=(coco8,shapes,)"], "'coco8','shapes'"),
    ],
)
def test_a_list_is_swept_over(typed: list[str], datasets: str) -> None:
    said = list[str]()
    assert with_each_dataset(["epochs=3", *typed, "lr0=0.1"], said.append) == [
        "-m",
        "epochs=3",
        f"data={datasets}",
        "lr0=0.1",
    ]
    assert len(said) == 1
    assert "a run for each of" in said[0]


@pytest.mark.parametrize(
    "typed",
    [["data=a.yaml"], ["data=a.yaml,b.yaml", "-m"], ["data=[]"], ["data=[a,,b]"], ["freeze=[0,1]"], ["data=[a"], []],
)
def test_all_else_stays_as_it_was_typed(typed: list[str]) -> None:
    said = list[str]()
    assert with_each_dataset(typed, said.append) == typed
    assert not said


def test_a_list_of_one_is_that_one() -> None:
    assert with_each_dataset(["data=[coco8]"]) == ["data='coco8'"]
    assert configure(with_each_dataset(["data=['coco8.yaml',]", "device=cpu"])).data.name == "coco8"
    assert configure(["data=['coco8']", "device=cpu"]).data.name == "coco8", "from Python"


def test_brackets_within_quotes_are_text() -> None:
    assert elements("['a[1].yaml','b,c.yaml']") == ["a[1].yaml", "b,c.yaml"]
    assert elements("a[1].yaml") is None


def test_points_are_runs_of_one_dataset_each_from_the_same_weights(tmp_path: Path) -> None:
    files = [tmp_path / name / "data.yaml" for name in ("one", "two")]
    for file in files:
        file.parent.mkdir()
        file.write_text("names: [a]\n")
    typed = f"data=[{files[0]},{files[1]},coco8]"
    found = configure_all(expand(with_each_dataset([typed, "device=cpu", "model=yolo26n", "epochs=2"])))
    assert [point.config.data.source for point in found.points] == [str(files[0]), str(files[1]), "coco8.yaml"]
    assert {point.config.model.weights for point in found.points} == {"yolo26n.pt"}


def test_the_command_prints_a_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "data=[coco8,shapes]", "device=cpu", "epochs=1", "--dry-run"]) == 0
    printed = capsys.readouterr()
    assert "data=coco8" in printed.out
    assert "data=shapes" in printed.out
    assert printed.err.count("a run for each of 2 datasets") == 1


@pytest.mark.parametrize("word", ["coco8,shapes", "[coco8,shapes]", "a.yaml,b.yaml"])
def test_where_one_run_is_wanted_both_ways_out_are_named(word: str) -> None:
    """From Python, where `train` returns one run; or without brackets."""
    with pytest.raises(ConfigError) as raised:
        configure([f"data='{word}'"])
    (problem,) = raised.value.problems
    assert problem.key == "data"
    assert "data=[coco8,shapes]" in problem.instead or "data=[a.yaml,b.yaml]" in problem.instead
    assert "lists below train: and val:" in problem.instead
