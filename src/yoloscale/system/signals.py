"""The signals by which a run is asked for something."""

from __future__ import annotations

import signal

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)  # who does not listen yet dies of them
MAY_STAY_IGNORED = (signal.SIGINT, signal.SIGHUP)  # in a process that was started to ignore them, by nohup, say
CHECKPOINT_SIGNAL = signal.SIGUSR2  # of ranks; it must end no other process of a job
