"""Whether the ranks' Python may have other packages than this one, so that what is missing here may be there. Pure."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from yoloscale.config.schema import ClusterConfig, Config
from yoloscale.errors import Problem
from yoloscale.system.remarks import Say


def other_environment(cluster: ClusterConfig) -> str | None:
    """The key that gives the ranks of a job another environment; None if they have this one."""
    if cluster.is_here:
        return None
    has = {
        "cluster.container_image": cluster.container_image is not None,
        "cluster.python": cluster.python not in (None, sys.executable),
        "cluster.setup": bool(cluster.setup),  # it may set PYTHONPATH
        "cluster.env.PYTHONPATH": "PYTHONPATH" in cluster.env,
    }
    return next((key for key, is_set in has.items() if is_set), None)


def refused_here(problems: Sequence[Problem], config: Config, say: Say) -> list[Problem]:
    """The problems; none where the ranks' environment may have none of them: they are said then."""
    key = other_environment(config.cluster)
    if key is None:
        return list(problems)
    for problem in problems:
        say(f"{problem.key}: here {problem.found}; the ranks have an environment of their own ({key}) and look again")
    return []
