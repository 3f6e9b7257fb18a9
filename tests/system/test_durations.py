from __future__ import annotations

from pathlib import Path

import pytest

from yoloscale.backends.check import validate
from yoloscale.config.compose.hydra import compose
from yoloscale.config.freeze import freeze, load
from yoloscale.config.schema import Config
from yoloscale.system.durations import limit_s, stop_after_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 5400),
        ("1:30", 90),
        ("12:00:00", 43200),
        ("00:00:20", 20),
        ("2-0", 172800),
        ("1-12", 129600),
        ("1-12:30", 131400),
        ("1-12:30:05", 131405),
    ],
)
def test_limits_are_read_as_sbatch_reads_them(text: str, seconds: int) -> None:
    assert limit_s(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0:00", "1h", "-5", "1:2:3:4", "1-", "UNLIMITED", "1-2:3:4:5", "1.5"])
def test_anything_else_is_no_limit(text: str) -> None:
    with pytest.raises(ValueError, match="no time limit"):
        limit_s(text)


@pytest.mark.parametrize(("limit", "before", "after"), [(43200, 120, 43080), (60, 120, 30), (300, 0, 300)])
def test_the_request_comes_before_the_limit_but_not_in_its_first_half(
    limit: float, before: float, after: float
) -> None:
    assert stop_after_s(limit, before) == after


@pytest.mark.parametrize("typed", ["90", "30:00", "12:00:00", "1-12:00:00"])
def test_what_is_typed_arrives_and_is_frozen_as_text(typed: str, tmp_path: Path) -> None:
    config = compose(["data=shapes", "model=yolo26n", f"cluster.time={typed}"])
    assert config.cluster.time == typed
    config.cluster.procs_per_node = 1
    freeze(config, tmp_path / "config.yaml")
    assert load(tmp_path / "config.yaml").cluster.time == typed


def test_problems_name_the_key_and_what_to_write() -> None:
    config = Config()
    cluster = config.cluster
    cluster.nodes, cluster.min_nodes, cluster.rdzv_endpoint = 2, 3, "a:1"
    cluster.time, cluster.max_restarts, cluster.stop_before_s = "soon", -1, -1.0
    cluster.procs_per_node = 1
    told = {problem.key: problem.instead for problem in validate(config)}
    assert "cluster.min_nodes=2" in told["cluster.min_nodes"]
    assert "HH:MM:SS" in told["cluster.time"]
    assert {"cluster.max_restarts", "cluster.stop_before_s"} <= set(told)
