"""The comparisons of scripts/old_runs: what counts as a difference, and what does not."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "old_runs"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    loader = importlib.machinery.SourceFileLoader("old_runs", str(SCRIPT))
    spec = importlib.util.spec_from_loader("old_runs", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["old_runs"] = module
    loader.exec_module(module)
    yield module
    del sys.modules["old_runs"]


def test_a_text_may_be_of_another_age_and_of_no_other_words(script: ModuleType) -> None:
    assert script.as_text("a  finished  5 s ago\n", "a  finished  12 min ago\n") == []
    assert script.as_text("a  finished  5 s ago\n", "a  failed  5 s ago\n") != []
    assert script.as_text("a\nb\n", "a\n") != []


def test_data_may_have_more_fields_and_no_other_values(script: ModuleType) -> None:
    assert script.as_data('[{"a": 1}]', '[{"a": 1, "b": 2}]') == []
    assert script.as_data('[{"a": 1, "b": 2}]', '[{"a": 1}]') == ["0.b: 2, now None"]
    assert script.as_data('[{"a": {"b": 1.5}}]', '[{"a": {"b": 1.25}}]') == ["0.a.b: 1.5, now 1.25"]
    assert script.as_data('[{"a": 1}]', "[]") != []
    assert script.as_data('{"a": 1}\n{"a": 2}\n', '{"a": 1}\n{"a": 3}\n') == ["1.a: 2, now 3"]


def test_a_table_counts_what_differs(script: ModuleType) -> None:
    table = script.Table()
    table.add("run", "trace", [])
    table.add("sweep", "points", ["one", "two"])
    assert table.differences == 1
    assert table.lines() == ["run    trace   ok", "sweep  points  one; two"]


def test_an_unbroken_folder_is_made_by_the_same_words_under_another_name(script: ModuleType) -> None:
    for name in ("sweep", "search"):
        words, whole = script.typed(name, ["imgsz=64"]), script.typed(f"whole-{name}", ["imgsz=64"])
        assert [word.replace("whole-", "") for word in whole] == words
        assert "-m" in words
    assert "-m" not in script.typed("killed", ["imgsz=64"])
