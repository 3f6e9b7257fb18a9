"""Variables in `data=` and `model=`: resolved where they are known, left to the nodes where only a job has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from yoloscale.config.compose.hydra import compose
from yoloscale.config.node_paths import (
    expanded,
    is_checked_later,
    is_weights_of_nodes,
    may_be_weights_of_nodes,
    on_node,
    or_later,
    remarks,
    variables_in,
)
from yoloscale.config.schema import DataCheck
from yoloscale.errors import ConfigError, Problem

SLURM = ("cluster=slurm", "device=cpu", "model=yolo26n.yaml")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$WORK/parts/data.yaml", "/scratch/me/parts/data.yaml"),
        ("${WORK}s/data.yaml", "/scratch/mes/data.yaml"),
        ("${oc.env:WORK}/data.yaml", "/scratch/me/data.yaml"),
        ("${oc.env:ABSENT,/data}/parts.yaml", "/data/parts.yaml"),
        ("$ABSENT/data.yaml", "$ABSENT/data.yaml"),
        ("a$(x)/data.yaml", "a$(x)/data.yaml"),
        ("costs 5$/data.yaml", "costs 5$/data.yaml"),
    ],
)
def test_what_is_set_is_put_in(path: str, expected: str) -> None:
    assert expanded(path, {"WORK": "/scratch/me"}) == expected


def test_a_file_that_is_called_so_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "we$ird.yaml"
    file.touch()
    assert expanded(str(file), {"ird": "x"}) == str(file)
    assert variables_in(str(file)) == []


@pytest.mark.parametrize(
    "spelling", ["$DATASETS/a/data.yaml", "${DATASETS}/a/data.yaml", "${oc.env:DATASETS}/a/data.yaml"]
)
def test_a_variable_of_this_machine_is_frozen_as_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("DATASETS", str(tmp_path))
        config = compose([f"data={spelling}", f"model={spelling.replace('data.yaml', 'best.pt')}"])
    assert config.data.source == f"{tmp_path}/a/data.yaml"
    assert config.data.name == "data"
    assert config.model.weights == f"{tmp_path}/a/best.pt"
    assert not is_checked_later(config)


@pytest.mark.parametrize("name", ["SLURM_TMPDIR", "TMPDIR", "SLURM_JOB_ID"])
def test_a_variable_of_the_job_stays_also_where_this_machine_has_one(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(name, "/here")
        config = compose([*SLURM, f"data=${name}/parts/data.yaml"])
    assert config.data.source == f"${name}/parts/data.yaml"
    assert is_checked_later(config)
    (line,) = remarks(config)
    assert config.data.source in line
    assert "on the nodes" in line


def test_data_check_says_when_it_is_looked_at() -> None:
    absent = "data=/localscratch/parts/data.yaml"
    assert not is_checked_later(compose([*SLURM, absent]))
    later = compose([*SLURM, absent, "data.check=later"])
    assert later.data.check is DataCheck.later
    assert is_checked_later(later)
    assert not is_checked_later(compose([*SLURM, "data=$SLURM_TMPDIR/a.yaml", "data.check=now"]))
    local = compose([absent, "data.check=later"])
    assert not is_checked_later(local)
    (line,) = remarks(local)
    assert "does nothing" in line


def test_later_keeps_every_variable_for_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("WORK", "/here")
        config = compose([*SLURM, "data=$WORK/a/data.yaml", "data.check=later"])
    assert config.data.source == "$WORK/a/data.yaml"
    assert on_node("data", config.data.source, {"WORK": "/there"}) == "/there/a/data.yaml"


def test_weights_may_be_on_the_nodes_only() -> None:
    slurm = ("cluster=slurm", "device=cpu", "task=detect")
    config = compose([*slurm, "model=$SLURM_TMPDIR/best.pt"])
    assert config.model.weights == "$SLURM_TMPDIR/best.pt"
    assert is_weights_of_nodes(config)
    assert is_weights_of_nodes(compose([*slurm, "model=/localscratch/best.pt", "data.check=later"]))
    assert not is_weights_of_nodes(compose([*slurm, "model=/localscratch/best.pt"]))
    assert not is_weights_of_nodes(compose([*slurm, "model=yolo26n.pt", "data.check=later"]))
    here = compose([*slurm, f"model={Path(__file__)}.pt", "data.check=later"])
    assert may_be_weights_of_nodes(here), "as a node sees it, where the file is there"


def test_a_variable_that_a_node_does_not_have_is_named_with_its_host() -> None:
    with pytest.raises(ConfigError) as raised:
        on_node("data", "$PARTS/${MORE}/data.yaml", {})
    (problem,) = raised.value.problems
    assert problem.key == "data"
    assert "$PARTS, $MORE is not set on" in problem.found
    assert "cluster.setup" in problem.instead


@pytest.mark.parametrize(
    ("argv", "is_told"),
    [
        ([*SLURM, "data=/localscratch/data.yaml"], True),
        ([*SLURM, "data=/localscratch/data.yaml", "data.check=later"], False),
        ([*SLURM, "data=coco8"], False),
        (["data=/localscratch/data.yaml"], False),
    ],
)
def test_the_way_out_is_told_where_there_is_one(argv: list[str], is_told: bool) -> None:
    problem = Problem("data", "no file", "write a path")
    assert ("data.check=later" in or_later(problem, compose(argv)).instead) == is_told
