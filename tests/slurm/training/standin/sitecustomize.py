"""On PYTHONPATH before the stand-in rank: launchers on the nodes start that one, whom no command line tells."""

from __future__ import annotations

from yoloscale.agent import spec

spec.WORKER = "standin_worker"
