"""A person's own functions in a run of two ranks."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.conftest import Commands

MODULE = """
import os
from pathlib import Path

def note(instance, event):
    with Path(__file__).with_name(f"rank-{os.environ['RANK']}.txt").open("a") as file:
        file.write(event + "\\n")

def on_train_start(trainer): note(trainer, "train_start")
def on_train_epoch_end(trainer): note(trainer, f"epoch_end {trainer.epoch} {len(trainer.tloss)}")
def on_val_end(validator): note(validator, f"val_end {validator.seen}")
def on_model_save(trainer): note(trainer, f"model_save {trainer.last.exists()} {trainer.best.exists()}")
def on_fit_epoch_end(trainer): note(trainer, f"fit_epoch_end {trainer.epoch} {'metrics/mAP50(B)' in trainer.metrics}")
def on_train_end(trainer): note(trainer, "train_end")
def teardown(trainer): note(trainer, "teardown")

def stop(trainer):
    trainer.stop = trainer.epoch == 1 and os.environ["RANK"] == "1"

def fail(trainer):
    raise ValueError("my own")
"""
NAMES = (
    *("on_train_start", "on_train_epoch_end", "on_val_end", "on_model_save", "on_fit_epoch_end"),
    *("on_train_end", "teardown"),
)


@pytest.mark.long
def test_callbacks_of_two_ranks(yoloscale: Commands, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "hooks.py").write_text(MODULE)
    words = ",".join([*(f"hooks:{name}" for name in NAMES), "on_train_epoch_end=hooks:stop"])
    small = ("batch=16", "nbs=16", "max_det=300", f"paths.code={folder}")
    done = yoloscale.train("called", *small, "epochs=4", f"callbacks=[{words}]")
    assert len([line for line in done.metrics if line["kind"] == "epoch"]) == 2
    both = [
        *("train_start", "epoch_end 0 3", "fit_epoch_end 0 True", "epoch_end 1 3", "fit_epoch_end 1 True"),
        *("fit_epoch_end 2 True", "teardown"),
    ]
    assert (folder / "rank-1.txt").read_text().splitlines() == both
    of_first = (folder / "rank-0.txt").read_text().splitlines()
    assert [line for line in of_first if not line.startswith(("val_end", "model_save", "train_end"))] == both
    assert of_first[1:5] == ["epoch_end 0 3", "val_end 32", "model_save True True", "fit_epoch_end 0 True"]
    assert of_first[-3:] == ["fit_epoch_end 2 True", "train_end", "teardown"]

    broken = yoloscale.train(
        "broken", *small, "epochs=1", "cluster.max_restarts=0", "callbacks=[on_train_start=hooks:fail]", code=1
    )
    assert "the callback hooks:fail of on_train_start failed" in broken.output
    assert "ValueError: my own" in broken.output

    refused = yoloscale.train("refused", *small, "callbacks=[hooks:on_train_begin]", code=2)
    assert "callbacks:" in refused.output
    assert not refused.run.path.exists()
