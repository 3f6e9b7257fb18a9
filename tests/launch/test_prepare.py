from __future__ import annotations

import pytest

from yoloscale.config.errors import ConfigError
from yoloscale.config.schema import Config, LoggerConfig
from yoloscale.launch.prepare import prepare


def test_a_logger_that_is_not_installed_is_told_before_any_rank_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yoloscale.launch.prepare.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"yoloscale\[tensorboard\]"):
        prepare(Config(logger=LoggerConfig(tensorboard=True)), print)
