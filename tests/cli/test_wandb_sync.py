"""Which files of a run are sent, in which order, and what is taken for sent. wandb's own command is stood in for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from yoloscale.cli import wandb_sync
from yoloscale.cli.main import main
from yoloscale.cli.wandb_sync import sync, unsent
from yoloscale.runs.directory import RunDirectory

STAND_IN = """
import pathlib, sys
print(*sys.argv[1:])
for word in sys.argv[1:]:
    if word.endswith(".wandb") and "refused" not in word:
        pathlib.Path(word + ".synced").touch()
"""


def start(run: Path, folder: str, *, synced: bool = False) -> Path:
    file = run / "wandb" / folder / f"run-{folder.rpartition('-')[2]}.wandb"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    if synced:
        file.with_suffix(".wandb.synced").touch()
    return file


def test_starts_in_their_order_less_what_was_sent(tmp_path: Path) -> None:
    third = start(tmp_path, "offline-run-20261122_120000-abc")
    first = start(tmp_path, "offline-run-20261120_120000-abc")
    start(tmp_path, "offline-run-20261121_120000-abc", synced=True)
    (tmp_path / "wandb" / "latest-run").symlink_to("offline-run-20261122_120000-abc")
    assert unsent(RunDirectory(tmp_path)) == [first, third]
    assert unsent(RunDirectory(tmp_path / "absent")) == []


def test_of_starts_that_were_online_the_newest_only(tmp_path: Path) -> None:
    start(tmp_path, "run-20261120_120000-abc")
    offline = start(tmp_path, "offline-run-20261121_120000-abc")
    newest = start(tmp_path, "run-20261122_120000-abc")
    assert unsent(RunDirectory(tmp_path)) == [offline, newest]


def test_what_has_no_mark_afterwards_was_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_sync, "IMPORTS", STAND_IN)
    files = [start(tmp_path, f"offline-run-2026112{day}_120000-{word}") for day, word in enumerate(("a", "refused"))]
    done = sync(files)
    assert (done.sent, done.left) == ((files[0],), (files[1],))
    assert done.said == f"sync {files[0]} {files[1]}", "in one call: wandb puts the starts of a run in their order"
    assert "--include-online" in sync([start(tmp_path, "run-20261125_120000-a")]).said


def test_a_server_that_says_nothing_more_is_left_after_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_sync, "IMPORTS", "import time; print('began', flush=True); time.sleep(3600)")
    file = start(tmp_path, "offline-run-20261120_120000-abc")
    done = sync([file], timeout_s=5.0)  # it has begun by then, else the test tells nothing
    assert (done.left, done.said) == ((file,), "began")


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with a start to send, and an account at a server that answers."""
    for name in ("a", "b"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.yaml").write_text("version: 1\n")
    monkeypatch.setattr(wandb_sync, "IMPORTS", STAND_IN)
    monkeypatch.setattr("yoloscale.config.check.wandb_access.silence", lambda server: None)
    return tmp_path / "runs"


def command(runs: Path, *typed: str, key: str = "x") -> int:
    before = os.environ.copy()
    os.environ |= {"WANDB_API_KEY": key, "NETRC": "/absent"}
    try:
        return main(["wandb", "sync", "--runs", str(runs), *typed])
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_the_command_sends_once(runs: Path, capsys: Any) -> None:
    start(runs / "a", "offline-run-20261120_120000-abc")
    assert command(runs, "--dry-run") == 0
    assert "run-abc.wandb" in capsys.readouterr().out
    assert command(runs, "a") == 0
    assert "sent" in capsys.readouterr().out
    assert command(runs) == 0
    assert "nothing to send: 2 runs" in capsys.readouterr().out


def test_the_command_says_what_was_not_sent_and_why(runs: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    start(runs / "b", "offline-run-20261120_120000-refused")
    assert command(runs, key="") == 2
    assert "wandb login" in capsys.readouterr().err
    assert command(runs) == 1
    assert "1 of 1 start not sent" in capsys.readouterr().out
    monkeypatch.setattr("yoloscale.config.check.wandb_access.silence", lambda server: f"{server} does not answer")
    assert command(runs) == 1
    assert "nothing was sent" in capsys.readouterr().out
    assert command(runs, "c") == 2
