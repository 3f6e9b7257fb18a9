"""One Weights & Biases run per training, whatever number of starts it takes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

from yoloscale.config.check.wandb_access import environment_with, has_key, mode_of, server_of, silence
from yoloscale.config.schema import WandbArtifacts, WandbConfig, WandbMode
from yoloscale.exit_codes import STOPPED
from yoloscale.track.tracker import Artifact, RunFacts, Tracker

INIT_TIMEOUT_S = 30  # then the run is logged offline, to be synchronised later
FINISH_TIMEOUT_S = 45  # what is not sent by then stays on disk, to be synchronised later
FLUSH_INTERVAL_S = 0.2  # what a kill costs at most; wandb's own is 15
BY_EPOCH = ("metrics/*", "val/*", "epoch/*", "fitness")  # everything else is by step
SUMMARY = {"metrics/*": "max", "val/*": "min"}


class WandbTracker(Tracker):
    """Logs to W&B. A server that does not answer, or lets nobody in, makes it an offline run."""

    def __init__(self, config: WandbConfig, facts: RunFacts) -> None:
        mode = mode_of(config.mode)
        reason = _why_offline(config) if mode is WandbMode.online else None
        self._is_shared = mode is WandbMode.online and facts.nodes > 1
        self._facts, self._number = facts, 0
        self.takes_models = config.artifacts is WandbArtifacts.final
        if reason is None:
            try:
                self._run = _start(config, facts, "shared" if self._is_shared else mode.value)
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                wandb.teardown()  # its service still holds the run id
        if reason is not None:
            self._is_shared, mode = False, WandbMode.offline
            facts.warn(f"W&B: {reason}; logged offline, `yoloscale wandb sync {facts.folder}` sends it later")
            self._run = _start(config, facts, mode.value)
        self._is_online = mode is WandbMode.online
        if self._is_online and self._run.url:
            facts.found_at("W&B", str(self._run.url))
        self._define()

    def _define(self) -> None:
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("epoch")
        self._run.define_metric("*", step_metric="step")
        for pattern in BY_EPOCH:
            self._run.define_metric(pattern, step_metric="epoch", summary=SUMMARY.get(pattern))

    def log(self, values: Mapping[str, float], step: int, *, is_epoch: bool) -> None:
        """A row of its own in W&B's history, whole at once.

        Its number there (`_step`) counts optimiser steps and epochs: the row of an epoch comes after that of its last
        step, also if a run was stopped between the two, and W&B drops what has no higher number than what it has.
        Metrics of an epoch that come after its row have the number after that.
        """
        number = step + int(values["epoch"]) - (not is_epoch)
        self._row({**values, "step": step}, max(number, self._number + 1))

    def _row(self, row: Mapping[str, Any], number: int) -> None:
        self._number = max(self._number, number)
        if self._is_shared:  # W&B counts the rows of several writers itself
            self._run.log(dict(row))
        else:
            self._run.log(dict(row), step=number, commit=True)

    def media(self, images: Mapping[str, Path], step: int) -> None:
        row = {name: wandb.Image(str(path)) for name, path in images.items()}
        if self._number:
            self._row(row, self._number + 1)
        else:  # a start that had nothing left to train: after whatever W&B has
            self._run.log(row)

    def summary(self, values: Mapping[str, Any]) -> None:
        self._run.summary.update(dict(values))

    def uses(self, name: str, digest: str, metadata: Mapping[str, Any]) -> None:
        data = wandb.Artifact(_slug(name), type="dataset", metadata={**metadata, "digest": digest})
        file = self._facts.folder / "wandb" / "fingerprint.txt"  # the same images and labels are the same version
        file.write_text(f"{digest}\n")
        data.add_file(str(file), policy="immutable", skip_cache=True)
        if self._is_online:
            self._run.use_artifact(data)
        else:  # what use_artifact does with one that is new, which it refuses offline
            self._run._log_artifact(data, is_user_created=True, use_after_commit=True)

    def artifact(self, artifact: Artifact) -> None:
        name, path = f"{_slug(artifact.name)}-{self._facts.identity}", artifact.path
        model = wandb.Artifact(name, type="model", metadata=dict(artifact.metadata))
        model.add_file(str(path), name=path.name, policy="immutable", skip_cache=True)  # no copy is kept
        self._run.log_artifact(model, aliases=list(artifact.aliases))

    def alert(self, title: str, text: str) -> None:
        self._run.alert(title, text)

    def close(self, exit_code: int) -> None:
        if exit_code == STOPPED:
            self._run.mark_preempting()
        try:
            self._run.finish(exit_code=exit_code)
        except TimeoutError as error:
            instead = f"`yoloscale wandb sync {self._facts.folder}` sends the rest"
            raise TimeoutError(f"not everything was sent within {FINISH_TIMEOUT_S} s; {instead}") from error
        if self._is_online:
            _mark_synced(Path(self._run.settings.sync_file))


class WandbNode(Tracker):
    """A node that does not hold rank 0: adds its CPU, GPU and host metrics to the run, online only."""

    def __init__(self, config: WandbConfig, facts: RunFacts) -> None:
        self._run = None
        if mode_of(config.mode) is WandbMode.online and _why_offline(config) is None:
            self._run = _start(config, facts, "shared")

    def close(self, exit_code: int) -> None:
        if self._run is not None:
            self._run.finish(exit_code=exit_code)


def _start(config: WandbConfig, facts: RunFacts, mode: str) -> Any:
    _say_who_started(facts)
    # the one that the run was frozen with, whatever this node's environment says
    server: dict[str, Any] = {} if config.base_url is None else {"base_url": config.base_url}
    settings = wandb.Settings(
        init_timeout=INIT_TIMEOUT_S,
        finish_timeout=FINISH_TIMEOUT_S,
        finish_timeout_raises=True,
        x_transaction_log_flush_interval=FLUSH_INTERVAL_S,
        console="off",
        silent=True,
        **server,
        **_sharing(facts) if mode == "shared" else {},
    )
    return wandb.init(
        mode=mode,  # type: ignore[arg-type]
        project=config.project,
        entity=config.entity,
        group=config.group or facts.group,
        job_type=config.job_type,
        tags=config.tags or None,
        notes=config.notes,
        name=config.name or facts.name,
        id=facts.identity,
        resume=None if mode == "shared" else "allow",
        dir=str(facts.folder),
        config=dict(facts.settings) if facts.node == 0 else None,
        settings=settings,
    )


def _say_who_started(facts: RunFacts) -> None:
    """In a sweep of its own, wandb takes id, project and sweep from variables only: the same ones at every start."""
    of_agent = {"WANDB_RUN_ID": facts.identity, **facts.from_agent} if facts.from_agent else {}
    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_ID"):
        os.environ.pop(name, None)
    os.environ.update(of_agent)
    parameters = os.environ.get("WANDB_SWEEP_PARAM_PATH")
    if parameters and not (of_agent and Path(parameters).exists()):  # the frozen config has the values, too
        del os.environ["WANDB_SWEEP_PARAM_PATH"]


def _sharing(facts: RunFacts) -> dict[str, Any]:
    """Several nodes write one run: the first one owns it, the others add what they measure."""
    is_first = facts.node == 0
    return {
        "x_primary": is_first,
        "x_label": f"node-{facts.node}",
        "x_update_finish_state": is_first,
        "x_skip_transaction_log": not is_first,
    }


def _why_offline(config: WandbConfig) -> str | None:
    """What stands in the way of an online run; None if nothing is known to."""
    environ = environment_with(config.base_url)
    server = server_of(environ)
    return silence(server) if has_key(environ) else f"there is no API key for {server} on this machine"


def _mark_synced(file: Path) -> None:
    """As `wandb sync` does, so that it leaves out what was sent while the run went on."""
    if file.exists():
        file.with_suffix(".wandb.synced").touch()


def _slug(name: str) -> str:
    """A name that W&B takes for an artifact."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "-" for letter in name)
