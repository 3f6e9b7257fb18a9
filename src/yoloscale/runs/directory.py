"""The run directory: where each file of a run lies. The only place that knows the names (DESIGN: a contract)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunDirectory:
    """Paths below one run directory; nothing is created or read by asking for a path."""

    path: Path

    @property
    def name(self) -> str:
        """The name a person calls the run by: the folder's."""
        return self.path.name

    @property
    def config(self) -> Path:
        """Resolved, frozen, complete."""
        return self.path / "config.yaml"

    @property
    def overrides(self) -> Path:
        """What the person typed."""
        return self.path / "overrides.yaml"

    @property
    def job(self) -> Path:
        """What was started or submitted."""
        return self.path / "job"

    @property
    def lock(self) -> Path:
        """Held (flock) by the launcher of the run for as long as it lives."""
        return self.job / "lock"

    @property
    def stop_request(self) -> Path:
        """Made by whoever wants the run to save and stop (`touch RUN/STOP`); rank 0 removes it when it is honoured."""
        return self.path / "STOP"

    def launch_record(self, attempt: int, node_rank: int = 0) -> Path:
        """What was started on one node for one attempt: argv, environment, working folder."""
        return self.job / (f"attempt-{attempt}.json" if node_rank == 0 else f"attempt-{attempt}-node-{node_rank}.json")

    def agent_log(self, attempt: int, node_rank: int = 0) -> Path:
        """What torchrun's agent of one node printed."""
        return self.attempt_logs(attempt) / ("launcher.log" if node_rank == 0 else f"launcher-node-{node_rank}.log")

    @property
    def best_weights(self) -> Path:
        """The best model so far as a plain Ultralytics checkpoint."""
        return self.weights / "best.pt"

    @property
    def logs(self) -> Path:
        """One folder for every start of the job."""
        return self.path / "logs"

    @property
    def checkpoints(self) -> Path:
        """Complete training states, to resume from."""
        return self.path / "checkpoints"

    @property
    def weights(self) -> Path:
        """Plain Ultralytics checkpoints."""
        return self.path / "weights"

    @property
    def metrics(self) -> Path:
        """One object a line: steps, epochs, evaluations."""
        return self.path / "metrics.jsonl"

    @property
    def events(self) -> Path:
        """The history of the run: a file for each process that wrote some of it (runs/event_files.py)."""
        return self.path / "events"

    @property
    def old_events(self) -> Path:
        """The history that versions with one file for all have written."""
        return self.path / "events.jsonl"

    @property
    def trace(self) -> Path:
        """With debug.trace: one line per optimiser step."""
        return self.path / "trace.jsonl"

    @property
    def result(self) -> Path:
        """Written once, last."""
        return self.path / "result.json"

    def attempt_logs(self, attempt: int) -> Path:
        """Folder of one start of the job; attempts count from 1."""
        return self.logs / f"attempt-{attempt}"

    def rank_log(self, attempt: int, rank: int) -> Path:
        """What one rank printed."""
        return self.attempt_logs(attempt) / f"rank-{rank}.log"
