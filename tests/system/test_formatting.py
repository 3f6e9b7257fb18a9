from __future__ import annotations

import pytest

from yoloscale.system import formatting


@pytest.mark.parametrize(("seconds", "shown"), [(None, ""), (5, "0:05"), (65.4, "1:05"), (3725, "1:02:05")])
def test_durations(seconds: float | None, shown: str) -> None:
    assert formatting.duration(seconds) == shown


@pytest.mark.parametrize(("value", "shown"), [(0.41311, "0.4131"), (88.14, "88.14"), (2_410_000, "2.41M"), (3.0, "3")])
def test_numbers(value: float, shown: str) -> None:
    assert formatting.number(value) == shown
