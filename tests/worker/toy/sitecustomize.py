"""On PYTHONPATH: every process that a test starts knows the toy."""

from __future__ import annotations

from toy_kind import TOY

from yoloscale.config.kinds import KINDS

KINDS["toy"] = TOY
