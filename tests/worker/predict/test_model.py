"""From the config to what the model is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.worker.predict.prediction_runs import config_of


@pytest.mark.parametrize("exact", [True, False])
def test_whoever_decides_about_exactness_is_heard(exact: bool, tmp_path: Path) -> None:
    from yoloscale.worker.predict.model import settings_of

    config = config_of(tmp_path / "mine.pt", tmp_path / "images", unit=4)
    config.predict.exact = exact
    assert settings_of(config).exact is exact
