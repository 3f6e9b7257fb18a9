"""One Weights & Biases run per training, whatever number of starts it takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

from yoloscale.config.schema import WandbConfig, WandbMode

INIT_TIMEOUT_S = 30  # then the run is logged offline, to be synchronised later
FINISH_TIMEOUT_S = 60  # what is not sent by then stays on disk, to be synchronised later


class WandbTracker:
    """Logs to W&B; a server that does not answer turns it into an offline run instead of stopping the training."""

    def __init__(self, config: WandbConfig, folder: Path, name: str, settings: Mapping[str, Any], run_id: str) -> None:
        try:
            self._run = self._start(config, config.mode, folder, name, settings, run_id)
        except wandb.errors.Error as error:
            print(f"W&B: {error}; logging offline, `wandb sync` in {folder / 'wandb'} sends it later", flush=True)
            wandb.teardown()  # its service still holds the run id
            self._run = self._start(config, WandbMode.offline, folder, name, settings, run_id)

    @staticmethod
    def _start(
        config: WandbConfig, mode: WandbMode, folder: Path, name: str, settings: Mapping[str, Any], run_id: str
    ) -> Any:
        run = wandb.init(
            mode=mode.value,
            project=config.project,
            entity=config.entity,
            group=config.group,
            tags=config.tags or None,
            notes=config.notes,
            job_type="train",
            name=name,
            id=run_id,
            resume="allow",
            dir=str(folder),
            config=dict(settings),
            settings=wandb.Settings(
                init_timeout=INIT_TIMEOUT_S, finish_timeout=FINISH_TIMEOUT_S, console="off", silent=True
            ),
        )
        run.define_metric("*", step_metric="step")
        return run

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log({**values, "step": step})

    def close(self, exit_code: int) -> None:
        self._run.finish(exit_code=exit_code)
