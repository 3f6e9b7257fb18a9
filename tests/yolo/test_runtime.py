from __future__ import annotations

import os
import subprocess
import sys

import pytest

from yoloscale.yolo import runtime


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `prepare` sets is taken back."""
    for name in ("ULTRALYTICS_SAFE_LOAD", "YOLO_AUTOINSTALL", "YOLO_OFFLINE", "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.setenv(name, "unset")
        monkeypatch.delenv(name)
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "1")):
        monkeypatch.setenv(name, value)


def test_alone_ultralytics_sees_no_ranks() -> None:
    runtime.prepare(1, allow_pickle=False)
    assert not {"RANK", "LOCAL_RANK", "WORLD_SIZE"} & os.environ.keys()


def test_among_others_it_does() -> None:
    runtime.prepare(2, allow_pickle=False)
    assert {"RANK", "LOCAL_RANK", "WORLD_SIZE"} <= os.environ.keys()


def test_weights_are_loaded_safely_unless_asked_otherwise() -> None:
    runtime.prepare(1, allow_pickle=False)
    assert os.environ["ULTRALYTICS_SAFE_LOAD"] == "true"
    runtime.prepare(1, allow_pickle=True)
    assert os.environ["ULTRALYTICS_SAFE_LOAD"] == "false"


def test_nothing_is_installed_or_looked_up_unless_the_person_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO_AUTOINSTALL", "true")
    runtime.prepare(1, allow_pickle=False)
    assert (os.environ["YOLO_AUTOINSTALL"], os.environ["YOLO_OFFLINE"]) == ("true", "true")


def test_cublas_sums_in_one_order_unless_the_person_said_how(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime.prepare(1, allow_pickle=False)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    runtime.prepare(1, allow_pickle=False)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


@pytest.mark.parametrize("installed", ["8.4.100", "8.5.0", "9.0.1"])
def test_other_versions_are_refused(monkeypatch: pytest.MonkeyPatch, installed: str) -> None:
    monkeypatch.setattr(runtime, "version", lambda _: installed)
    with pytest.raises(RuntimeError, match=rf"{installed} is installed, yoloscale needs >=8\.4\.190,<8\.5"):
        runtime.check_version()


IMPORT = "from ultralytics.utils import RANK; from yoloscale.yolo.runtime import check_ranks; check_ranks(1, 2, 0)"


def test_ultralytics_must_have_read_who_this_rank_is() -> None:
    """In a process of its own: it reads them once."""
    command = [sys.executable, "-c", IMPORT]
    unset = {name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
    done = subprocess.run(command, env=unset, capture_output=True, text=True, check=False, timeout=300)
    assert "RuntimeError" in done.stderr
    assert "(-1, -1, 1), it is (1, 0, 2)" in done.stderr
    right = {**unset, "RANK": "1", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}
    subprocess.run(command, env=right, check=True, timeout=300)
