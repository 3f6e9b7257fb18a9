"""The end of a finished run, as ranks on several nodes see it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from yoloscale.config.schema import Config
from yoloscale.runs.directory import RunDirectory
from yoloscale.worker.train.finish import finish


class EvaluatedError(Exception):
    """Instead of an evaluation: of which weights it would be."""


def chosen_weights(ranks: Any, steps: Any, folder: Path, published: list[list[str]]) -> str:
    """What a rank evaluates that sees these files: the others' are on a disk of another node, or not seen there yet."""
    run = RunDirectory(folder / str(ranks.rank))
    run.weights.mkdir(parents=True)
    for name in published[ranks.rank]:
        (run.weights / name).touch()

    def final(weights: Path, plots: bool) -> dict[str, float]:
        raise EvaluatedError(weights.name)

    parts = SimpleNamespace(
        trainer=SimpleNamespace(args=SimpleNamespace(task="detect")), evaluation=SimpleNamespace(final=final)
    )
    with pytest.raises(EvaluatedError) as evaluated:
        finish(Config(name="run"), run, ranks, parts, observer=None, summary={})  # type: ignore[arg-type]  # stand-ins
    return str(evaluated.value)


@pytest.mark.parametrize("first", [["best.pt", "last.pt"], ["last.pt"]])
def test_the_first_rank_chooses_what_all_evaluate(
    launch_ranks: Callable[..., list[Any]], tmp_path: Path, first: list[str]
) -> None:
    others = [["best.pt", "last.pt"], ["last.pt"], []]
    assert launch_ranks(chosen_weights, 4, tmp_path, [first, *others]) == [first[0]] * 4
