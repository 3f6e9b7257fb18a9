"""Wall-clock limits as sbatch writes them, and how long before the limit a run is asked to stop. Pure."""

from __future__ import annotations

import re

GRAMMAR = "minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS, like 90, 30:00, 12:00:00 or 1-12:00:00"
_FORMS = (
    re.compile(r"(?P<minutes>\d+)(:(?P<seconds>\d+))?"),
    re.compile(r"(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)"),
    re.compile(r"(?P<days>\d+)-(?P<hours>\d+)(:(?P<minutes>\d+)(:(?P<seconds>\d+))?)?"),
)
_UNIT_S = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}


def limit_s(text: str) -> int:
    """Seconds of a limit in the grammar of `sbatch --time`. Raises ValueError for anything else and for no time."""
    for form in _FORMS:
        if match := form.fullmatch(text.strip()):
            seconds = sum(int(number or 0) * _UNIT_S[unit] for unit, number in match.groupdict().items())
            if seconds == 0:
                break
            return seconds
    raise ValueError(f"no time limit: {text!r}")


def stop_after_s(limit: float, stop_before: float) -> float:
    """Seconds from the start to the request to stop: `stop_before` seconds before the limit, or half-way if sooner."""
    return max(limit - stop_before, limit / 2)
