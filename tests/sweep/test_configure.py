"""What is asked once for all points of a sweep."""

from __future__ import annotations

import pytest

from yoloscale.config import freeze as freeze_module
from yoloscale.config.check.logger import logger_problems
from yoloscale.errors import ConfigError
from yoloscale.sweep import configure as module

from .conftest import Configured, Frozen

WORDS = ("name=s", "seed=range(0,5)", "logger=wandb_offline", "cluster.procs_per_node=1", "device=cpu")


def test_the_logger_is_asked_once(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(module, "logger_problems", lambda logger: asked.append(logger) or logger_problems(logger))
    assert len(configured(*WORDS).points) == 5
    assert len(asked) == 1


def test_what_frozen_points_have_in_common_is_parsed_once(
    configured: Configured, frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = frozen(*WORDS)
    whole = len(sweep.directory.runs()[0].config.read_text().splitlines())
    lines = []
    real = freeze_module.parse
    monkeypatch.setattr(freeze_module, "parse", lambda text: lines.extend(text.splitlines()) or real(text))
    again = configured(*WORDS)
    assert [each.config.seed for each in again.points] == list(range(5))
    assert len(lines) < whole + 5 * 5, "the seed, the name and the id of each, and the rest once"


def test_a_launcher_that_nobody_knows_is_told_with_the_other_problems(configured: Configured) -> None:
    with pytest.raises(ConfigError) as raised:
        configured("cluster.launcher=foo", "lr0=0.1,abc", "epochs=1,0")
    assert {problem.key for problem in raised.value.problems} == {"cluster.launcher", "lr0"}
