"""TensorBoard, W&B and MLflow, written by real runs that are killed, stopped and left without a server."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import socket
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.run_events import lines_of

KEY, NETRC_KEY = "0123456789abcdef" * 2 + "feedbeef", "fedcba9876543210" * 2 + "deadbeef"
TINY = (
    *("data.shapes.train_images=32", "data.shapes.val_images=16", "data.shapes.image_size=96", "imgsz=64"),
    *("batch=8", "nbs=8", "workers=0", "cluster.threads=1"),
)
BLOCK = 32768  # bytes, of the log format that LevelDB and W&B use


def records(file: Path) -> Iterator[Any]:
    """What W&B would be told by a .wandb file."""
    from wandb.proto import wandb_internal_pb2

    content, position, parts = file.read_bytes(), 7, b""  # a header of 7 bytes
    while position + 7 <= len(content):
        left = BLOCK - position % BLOCK
        size, kind = struct.unpack("<HB", content[position + 4 : position + 7]) if left >= 7 else (0, 0)
        if kind == 0:
            position += left
            continue
        parts += content[position + 7 : position + 7 + size]
        position += 7 + size
        if kind in (1, 4):  # whole, or the last of several
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def of_kind(found: list[Any], kind: str) -> list[Any]:
    return [getattr(record, kind) for record in found if record.WhichOneof("record_type") == kind]


def rows(found: list[Any]) -> list[dict[str, Any]]:
    return [
        {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in row.item}
        for row in of_kind(found, "history")
    ]


@pytest.fixture
def silent_server() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def closed_server() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def commands_with(
    tmp_path: Path,
    cache: Path,
    narrow_model: Callable[[str], Path],
    yoloscale: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[str], Any]]:
    """Commands with an account at a server of that address, in the environment and in a netrc file."""
    made: list[Any] = []

    def new(server: str) -> Any:
        netrc = tmp_path / "netrc"
        netrc.write_text(f"machine 127.0.0.1 login user password {NETRC_KEY}\n")
        with monkeypatch.context() as patch:
            for name, value in {"WANDB_BASE_URL": server, "WANDB_API_KEY": KEY, "NETRC": str(netrc)}.items():
                patch.setenv(name, value)
            patch.delenv("WANDB_MODE")
            made.append(type(yoloscale)(tmp_path, cache, narrow_model("yolo26")))
        return made[-1]

    yield new
    for each in made:
        each.end_all()


@pytest.mark.long
def test_one_wandb_run_over_three_starts_while_no_server_answers(
    commands_with: Callable[[str], Any], silent_server: str, closed_server: str
) -> None:
    refused, silent = commands_with(closed_server), commands_with(silent_server)
    given = (*TINY, "epochs=6", "debug.trace=true", "plots=true", "logger=wandb", "logger.tensorboard=true")
    process = refused.start_training("a", *given, ranks=1)
    waiting = silent.start_training("b", *TINY, "epochs=2", "logger=wandb", ranks=1)
    refused.until(process, "a", steps=7)
    run = refused.run_of("a")
    kill_rank(refused, "a")
    refused.until(process, "a", steps=14, attempt=2)
    run.stop_request.touch()
    assert refused.finish(process, "a", 75, 100).exit_code == 75
    done = refused.resume("a")
    assert_one_run(done)
    assert_each_step_once(done)
    assert_nothing_secret(run.path)
    assert_artifacts(done)
    assert silent.finish(waiting, "b", 0, 100).exit_code == 0
    (file,) = silent.run_of("b").path.glob("wandb/offline-run-*/*.wandb")
    assert [row["epoch"] for row in rows(list(records(file))) if "fitness" in row] == [1, 2], "to be sent later"


def kill_rank(commands: Any, name: str) -> None:

    started = [e for e in lines_of(commands.run_of(name)) if e["event"] == "attempt_started"]
    os.kill(started[-1]["processes"][0]["pid"], signal.SIGKILL)


def fragments(done: Any) -> list[list[Any]]:
    """The records of each start."""
    return [list(records(file)) for file in sorted(done.run.path.glob("wandb/offline-run-*/*.wandb"))]


def assert_one_run(done: Any) -> None:
    starts = fragments(done)
    assert len(starts) == 3
    made = [of_kind(found, "run")[0] for found in starts]
    assert {run.run_id for run in made} == {done.state()["tracker"]["wandb"]}
    for run in made:
        config = {update.key: json.loads(update.value_json) for update in run.config.update}
        frozen = yaml.safe_load(done.run.config.read_text())
        assert {key: config.get(key) for key in frozen} == frozen
        assert (run.job_type, run.display_name) == ("train", "a")
    alerts = [[alert.title for alert in of_kind(found, "alert")] for found in starts]
    assert alerts == [[], ["a: restarted", "a: preempted"], []]
    pictures = {name.removesuffix("/path") for row in rows(starts[2]) for name in row if name.endswith("/path")}
    assert {"predictions/val_batch0_pred", "plots/results", "plots/confusion_matrix", "plots/labels"} <= pictures


def assert_each_step_once(done: Any) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told = [row for found in fragments(done) for row in rows(found)]
    assert [row["_step"] for row in told] == sorted({row["_step"] for row in told}), "never back, none twice"
    once = [line for line in done.metrics if not line.get("redone")]
    epochs = [(line["step"], line["epoch"]) for line in once if line["kind"] == "epoch"]
    assert [epoch for _, epoch in epochs] == [1, 2, 3, 4, 5, 6]
    assert [(row["step"], row["epoch"]) for row in told if "fitness" in row] == epochs
    assert all("epoch/goodput" in row and "val/box_loss" in row for row in told if "fitness" in row)
    steps = [line["step"] for line in once if line["kind"] == "step"]
    logged = [row["step"] for row in told if "train/grad_norm" in row]
    assert len(set(steps)) == len(steps)
    assert set(logged) <= set(steps)
    assert len(logged) >= len(steps) - 3, "a kill may cost the last ones before it"
    assert any(line.get("redone") for line in done.metrics), "steps were trained again, or this has shown nothing"
    board = EventAccumulator(str(done.run.path / "tensorboard")).Reload()
    assert [point.step for point in board.Scalars("fitness")] == [step for step, _ in epochs]
    points = [point.step for point in board.Scalars("train/box_loss")]
    assert points == sorted(set(points))


def assert_nothing_secret(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 30
    for path in files:
        content = path.read_bytes()
        for secret in (KEY, NETRC_KEY):
            assert secret.encode() not in content, path
            assert base64.b64encode(secret.encode())[:40] not in content, path


def assert_artifacts(done: Any) -> None:
    data, last, best = of_kind(fragments(done)[2], "artifact")
    assert (data.type, data.name, data.use_after_commit) == ("dataset", "shapes", True)
    for made, name in ((last, "last"), (best, "best")):
        file = done.run.weights / f"{name}.pt"
        (entry,) = made.manifest.contents
        assert entry.digest == base64.b64encode(hashlib.md5(file.read_bytes()).digest()).decode()
        metadata = json.loads(made.metadata)
        assert metadata["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert metadata["dataset"]["digest"] == json.loads(data.metadata)["digest"]
        assert {name, f"epoch-{metadata['epoch']}"} <= set(made.aliases)


@pytest.mark.long
def test_an_agents_run_is_wandbs_and_goes_on_as_such_and_mlflow_has_one_run(
    commands_with: Callable[[str], Any], closed_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for `wandb agent`: its variables, its file of values, and its command made from our sweep."""
    written, _ = (
        commands_with(closed_server).start("wandb", "sweep", *TINY, "weight_decay=0.01,0.02").communicate(timeout=900)
    )
    sweep = yaml.safe_load(written)
    chosen = {"weight_decay": sweep["parameters"]["weight_decay"]["values"][1]}
    words = [word for word in sweep["command"][2:] if word != "${args_no_hyphens}"]
    values = tmp_path / "wandb" / "sweep-abc" / "config-agentsid.yaml"
    values.parent.mkdir(parents=True)
    values.write_text(yaml.safe_dump({"wandb_version": 1, "weight_decay": {"value": chosen["weight_decay"]}}))
    with monkeypatch.context() as patch:
        patch.setenv("WANDB_RUN_ID", "agentsid")
        patch.setenv("WANDB_SWEEP_ID", "abc")
        patch.setenv("WANDB_PROJECT", "the-sweeps")
        patch.setenv("WANDB_SWEEP_PARAM_PATH", str(values.relative_to(tmp_path)))
        agents = commands_with(closed_server)
    board = f"sqlite:///{tmp_path}/mlflow.db"  # the tracking server of one who has none
    both = ("logger=[wandb,mlflow]", f"logger.mlflow.tracking_uri={board}", "logger.mlflow.experiment=tried")
    given = (*words, *(f"{key}={value}" for key, value in chosen.items()), *both, "debug.trace=true", "epochs=4")
    process = agents.start_training("c", *given, ranks=1)
    agents.until(process, "c", steps=6)
    agents.run_of("c").stop_request.touch()
    agents.finish(process, "c", 75, 100)
    done = commands_with(closed_server).resume("c")
    for found in fragments(done):
        (run,) = of_kind(found, "run")[:1]
        assert (run.run_id, run.project, run.sweep_id) == ("agentsid", "the-sweeps", "abc")
        assert {u.key: json.loads(u.value_json) for u in run.config.update}["weight_decay"] == 0.02
    assert len(fragments(done)) == 2
    assert_mlflow(tmp_path / "mlflow.db", done)


def assert_mlflow(file: Path, done: Any) -> None:
    with closing(sqlite3.connect(file)) as found:
        ((name, status, folder),) = found.execute("SELECT name, status, artifact_uri FROM runs")
        assert (name, status) == ("c", "FINISHED")
        assert found.execute("SELECT value FROM params WHERE key = 'weight_decay'").fetchall() == [("0.02",)]
        points = found.execute("SELECT step FROM metrics WHERE key = 'metrics/mAP50_B' ORDER BY step").fetchall()
        assert [step for (step,) in points] == [line["step"] for line in done.metrics if line["kind"] == "eval"]
    assert {path.name for path in (Path(folder.removeprefix("file://")) / "weights").iterdir()} == {
        "best.pt",
        "last.pt",
    }


def test_records_are_read_over_blocks(tmp_path: Path) -> None:
    """The reader of these tests: a record larger than a block lies in parts."""
    from wandb.proto import wandb_internal_pb2

    record = wandb_internal_pb2.Record()
    record.run.run_id = "x" * (2 * BLOCK)
    content, whole = b"\0" * 7, record.SerializeToString()
    pieces = [whole[: BLOCK - 14], whole[BLOCK - 14 : 2 * BLOCK - 21], whole[2 * BLOCK - 21 :]]
    for kind, piece in zip((2, 3, 4), pieces, strict=True):
        content += struct.pack("<IHB", 0, len(piece), kind) + piece
    (tmp_path / "x.wandb").write_bytes(content)
    assert [found.run.run_id for found in records(tmp_path / "x.wandb")] == [record.run.run_id]
