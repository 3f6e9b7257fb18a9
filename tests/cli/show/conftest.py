from __future__ import annotations

from tests.launched import config, launch, left_over, standin

__all__ = ["config", "launch", "left_over", "standin"]
