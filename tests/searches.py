"""A search as the front door makes it, for tests of what comes after."""

from __future__ import annotations

from yoloscale.sweep.search.ready import PlannedSearch, take_search
from yoloscale.sweep.search.search import Search, open_search
from yoloscale.system.remarks import Say


def ready(planned: PlannedSearch, say: Say) -> Search:
    """Make it, or join the one of that name, and let go of it."""
    with take_search(planned, say) as taken:
        return open_search(taken.directory)
