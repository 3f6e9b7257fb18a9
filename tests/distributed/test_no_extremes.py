"""No reduction by MAX or MIN between ranks: gloo loses NaN in them, and may return neither NaN nor the extreme.

findings/gloo_max_nan.sh shows it. SUM is right; the extreme of a few numbers is taken of what is gathered.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import yoloscale

EXTREMES = {"MAX", "MIN", "PRODUCT"}
_REDUCING = {"ReduceOp", "RedOpType", "reduce_op"}


def extremes(source: str) -> Iterator[int]:
    """Lines that name `ReduceOp.MAX` or its like, under whatever prefix."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute) or node.attr not in EXTREMES:
            continue
        holder = node.value
        name = holder.attr if isinstance(holder, ast.Attribute) else holder.id if isinstance(holder, ast.Name) else ""
        if name in _REDUCING:
            yield node.lineno


def below(folder: Path) -> list[str]:
    return [f"{path}:{line}" for path in sorted(folder.rglob("*.py")) for line in extremes(path.read_text("utf-8"))]


def test_what_is_looked_for_is_seen() -> None:
    assert list(extremes("x = 1\ndist.all_reduce(t, op=dist.ReduceOp.MAX)")) == [2]
    assert list(extremes("from torch.distributed import ReduceOp as R, ReduceOp\nreduce(t, 0, ReduceOp.MIN)")) == [2]
    assert not list(extremes("dist.all_reduce(t, op=dist.ReduceOp.SUM); MAX = 3; limits.MAX"))


def test_no_rank_of_ours_reduces_to_an_extreme() -> None:
    assert not below(Path(yoloscale.__file__).parent)


def test_nor_does_ultralytics() -> None:
    spec = importlib.util.find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    assert not below(Path(spec.origin).parent)
