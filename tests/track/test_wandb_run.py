"""What W&B is asked for: a fake of its module takes the calls. Real offline files are read in tests/e2e."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wandb

from yoloscale.config.schema import WandbArtifacts, WandbConfig, WandbMode
from yoloscale.track import wandb_run
from yoloscale.track.tracker import RunFacts
from yoloscale.track.wandb_run import WandbNode, WandbTracker

FACTS = {"name": "a", "identity": "abc", "settings": {"lr0": 0.1}}


class Run:
    url = "https://wandb.ai/e/p/runs/abc"

    def __init__(self) -> None:
        self.logged: list[tuple[dict[str, Any], int | None, bool | None]] = []
        self.finish_error: Exception | None = None
        self.preempting = False
        self.settings = SimpleNamespace(sync_file="")

    def define_metric(self, *_: Any, **__: Any) -> None: ...

    def log(self, row: dict[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        self.logged.append((row, step, commit))

    def mark_preempting(self) -> None:
        self.preempting = True

    def finish(self, exit_code: int) -> None:
        if self.finish_error is not None:
            raise self.finish_error


@pytest.fixture
def wandb_calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of each `wandb.init`; the server answers."""
    calls: list[dict[str, Any]] = []

    def init(**given: Any) -> Run:
        calls.append(given)
        return Run()

    monkeypatch.setattr(wandb_run, "_why_offline", lambda config: None)
    monkeypatch.setattr(wandb, "init", init)
    for name in ("WANDB_MODE", "WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH"):
        monkeypatch.delenv(name, raising=False)
    return calls


def facts(folder: Path, **given: Any) -> RunFacts:
    return RunFacts(folder=folder, **{**FACTS, **given})


def test_the_first_of_several_nodes_owns_the_run_and_the_others_add_to_it(
    tmp_path: Path, wandb_calls: list[dict[str, Any]]
) -> None:
    WandbTracker(WandbConfig(), facts(tmp_path, nodes=2))
    WandbNode(WandbConfig(), facts(tmp_path, nodes=2, node=1)).close(0)
    first, second = wandb_calls
    assert [call["mode"] for call in wandb_calls] == ["shared", "shared"]
    assert first["id"] == second["id"] == "abc"
    assert (first["config"], second["config"]) == ({"lr0": 0.1}, None)
    for call, label, owns in ((first, "node-0", True), (second, "node-1", False)):
        settings = call["settings"]
        assert (settings.x_label, settings.x_primary, settings.x_update_finish_state) == (label, owns, owns)


def test_a_node_says_nothing_offline(tmp_path: Path, wandb_calls: list[dict[str, Any]]) -> None:
    WandbNode(WandbConfig(mode=WandbMode.offline), facts(tmp_path, nodes=2, node=1)).close(0)
    assert wandb_calls == []


def test_a_run_on_one_node_goes_on_under_its_id_in_the_group_of_its_sweep(
    tmp_path: Path, wandb_calls: list[dict[str, Any]]
) -> None:
    config = WandbConfig(project="p", entity="e", tags=["x"], notes="n", job_type="try")
    said: list[tuple[str, str]] = []
    WandbTracker(config, facts(tmp_path, group="the-sweep", found_at=lambda *where: said.append(where)))
    assert said == [("W&B", Run.url)]
    WandbTracker(WandbConfig(group="mine"), facts(tmp_path, group="the-sweep"))
    call, other = wandb_calls
    expected = {"mode": "online", "id": "abc", "resume": "allow", "group": "the-sweep", "job_type": "try", "name": "a"}
    assert call.items() >= {**expected, "project": "p", "entity": "e", "tags": ["x"], "notes": "n"}.items()
    assert other["group"] == "mine"


def test_rows_have_rising_numbers_also_where_an_epoch_is_evaluated_after_a_stop(
    tmp_path: Path, wandb_calls: list[dict[str, Any]]
) -> None:
    tracker = WandbTracker(WandbConfig(), facts(tmp_path))
    for step in (3, 4):
        tracker.log({"train/loss": 1.0, "epoch": 1}, step, is_epoch=False)
    again = WandbTracker(WandbConfig(), facts(tmp_path))
    again.log({"fitness": 0.5, "epoch": 1}, 4, is_epoch=True)
    again.log({"train/loss": 1.0, "epoch": 2}, 5, is_epoch=False)
    again.log({"epoch/loss": 1.0, "epoch": 2}, 5, is_epoch=True)
    again.log({"fitness": 0.5, "epoch": 2}, 5, is_epoch=True)  # evaluated after all
    again.media({}, 5)
    rows = [*tracker._run.logged, *again._run.logged]
    assert [number for _, number, _ in rows] == [3, 4, 5, 6, 7, 8, 9]
    assert [row.get("step") for row, _, _ in rows] == [3, 4, 4, 5, 5, 5, None]
    assert all(is_whole for _, _, is_whole in rows)


@pytest.mark.parametrize("artifacts", WandbArtifacts)
def test_models_are_sent_unless_they_are_not_wanted(
    tmp_path: Path, wandb_calls: list[dict[str, Any]], artifacts: WandbArtifacts
) -> None:
    tracker = WandbTracker(WandbConfig(artifacts=artifacts), facts(tmp_path))
    assert tracker.takes_models == (artifacts is WandbArtifacts.final)


def test_a_refused_login_makes_an_offline_run(
    tmp_path: Path, wandb_calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    accepted = wandb.init

    def init(**given: Any) -> Any:
        if given["mode"] == "online":
            raise wandb.errors.AuthenticationError("invalid key")
        return accepted(**given)

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setattr(wandb, "teardown", lambda: None)
    WandbTracker(WandbConfig(), facts(tmp_path))
    assert [call["mode"] for call in wandb_calls] == ["offline"]
    said = capsys.readouterr().out
    assert "invalid key" in said
    assert f"yoloscale wandb sync {tmp_path}" in said


def test_what_is_not_sent_in_time_stays_to_be_sent(tmp_path: Path, wandb_calls: list[dict[str, Any]]) -> None:
    tracker = WandbTracker(WandbConfig(), facts(tmp_path))
    file = tmp_path / "run-abc.wandb"
    file.write_bytes(b"")
    tracker._run.settings.sync_file = str(file)
    tracker._run.finish_error = TimeoutError("late")
    with pytest.raises(TimeoutError, match="wandb sync"):
        tracker.close(0)
    assert not (tmp_path / "run-abc.wandb.synced").exists()
    tracker._run.finish_error = None
    tracker.close(75)
    assert (tmp_path / "run-abc.wandb.synced").exists(), "as wandb marks what it has sent"
    assert tracker._run.preempting


def test_only_an_agents_own_run_keeps_the_agents_variables(
    tmp_path: Path, wandb_calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("")
    with monkeypatch.context() as patch:
        for name in ("WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_PROJECT", "WANDB_SWEEP_PARAM_PATH"):
            patch.setenv(name, str(values) if name.endswith("PATH") else "another's")
        WandbTracker(WandbConfig(), facts(tmp_path, from_agent={"WANDB_SWEEP_ID": "s", "WANDB_PROJECT": "p"}))
        own = {"WANDB_RUN_ID": "abc", "WANDB_SWEEP_ID": "s", "WANDB_PROJECT": "p"}
        assert {name: os.environ[name] for name in own} == own
        assert "WANDB_SWEEP_PARAM_PATH" in os.environ
        WandbTracker(WandbConfig(), facts(tmp_path))
        assert not {"WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH"} & set(os.environ)


def test_a_server_is_there_if_it_says_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    from yoloscale.config.check.wandb_access import silence

    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        assert "does not answer: timed out" in str(silence(address, timeout_s=0.2))
    assert "refused" in str(silence(address))
    assert "does not answer" in str(silence("no address"))
