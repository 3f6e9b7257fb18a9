"""A person's own functions: imported, checked, and named in what they raise."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from yoloscale.errors import ConfigError

MODULE = """
import json
from pathlib import Path

class Hooks:
    @staticmethod
    def on_train_end(trainer):
        trainer.seen.append("end")

    def on_model_save(self, trainer):
        pass

hooks = Hooks()
limit = 3

def on_train_start(trainer):
    trainer.seen.append("start")

def on_fit_epoch_end(trainer):
    helper(trainer)

def helper(trainer):
    raise KeyError("metrics/none\\nand a page of more")

def on_train_epoch_end(trainer, extra):
    pass
"""
LINE_OF_ERROR = MODULE[: MODULE.index("raise KeyError")].count("\n") + 1


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of modules of one's own; what is imported from it is forgotten."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    (tmp_path / "own_hooks.py").write_text(MODULE)
    (tmp_path / "own_broken.py").write_text("import json\n\ndef on_train_end(trainer)\n    pass\n")
    (tmp_path / "own_needy.py").write_text("from pathlib import Path\nimport no_such_package_of_anyone\n")
    (tmp_path / "own_exit.py").write_text("import sys\nsys.exit('no licence')\n")
    idle = "async def on_train_end(trainer):\n    pass\n\ndef on_train_start(trainer):\n    yield trainer\n"
    (tmp_path / "own_idle.py").write_text(idle)
    (tmp_path / "own_old.py").write_text("import json\nold = json.no_more\n")
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]


def test_they_are_called_by_event_in_their_order(folder: Path) -> None:
    from yoloscale.yolo.callbacks import registry

    found = registry(["own_hooks:on_train_start", "on_train_start=own_hooks:Hooks.on_train_end"], str(folder))
    trainer = type("Trainer", (), {"seen": []})()
    for call in found["on_train_start"]:
        call(trainer)
    assert trainer.seen == ["start", "end"]
    assert found["on_val_end"] == []


def test_an_exit_is_an_error_that_says_how_to_end_the_run(folder: Path) -> None:
    from yoloscale.yolo.callbacks import CallbackError, registry

    (folder / "own_quitting.py").write_text("import sys\n\ndef on_train_epoch_end(trainer):\n    sys.exit()\n")
    (call,) = registry(["own_quitting:on_train_epoch_end"], str(folder))["on_train_epoch_end"]
    with pytest.raises(CallbackError, match=r"SystemExit.*trainer\.stop = True"):
        call(None)


def test_an_error_names_the_callback_its_event_and_its_line(folder: Path) -> None:
    from yoloscale.yolo.callbacks import CallbackError, registry

    (call,) = registry(["own_hooks:on_fit_epoch_end"], str(folder))["on_fit_epoch_end"]
    with pytest.raises(CallbackError) as raised:
        call(None)
    said = str(raised.value)
    assert "own_hooks:on_fit_epoch_end of on_fit_epoch_end failed" in said
    assert f"{folder / 'own_hooks.py'}:{LINE_OF_ERROR}" in said
    assert "KeyError" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("own_hooks:on_train_start", None),
        ("own_hooks:hooks.on_model_save", None),
        ("own_absent:on_train_end", "there is no module 'own_absent'"),
        ("own_hooks:on_train_begin", "did you mean"),
        ("on_train_end=own_hooks:helpers", "did you mean helper?"),
        ("on_train_end=own_hooks:limit", "is a int, no function"),
        ("own_hooks:Hooks.on_model_save", "cannot be called with one argument"),
        ("own_hooks:on_train_epoch_end", "cannot be called with one argument"),
        ("own_idle:on_train_end", "is a coroutine or a generator"),
        ("own_idle:on_train_start", "is a coroutine or a generator"),
        ("own_broken:on_train_end", "own_broken.py:3: SyntaxError"),
        ("own_needy:on_train_end", "own_needy.py:2: ModuleNotFoundError: No module named 'no_such_package_of_anyone'"),
        ("own_exit:on_train_end", "SystemExit: no licence"),
        ("own_old:on_train_end", "own_old.py:2: AttributeError: module 'json' has no attribute 'no_more'"),
    ],
)
def test_what_cannot_be_called_is_told_with_file_and_line(folder: Path, word: str, said: str | None) -> None:
    from yoloscale.yolo.callbacks import problems, registry

    found = problems([word], str(folder))
    assert (said or "") in "".join(str(problem) for problem, _ in found)
    assert (said is None) == (not found)
    if said is not None:
        with pytest.raises(ConfigError) as raised:
            registry([word], str(folder))
        assert raised.value.problems == tuple(problem for problem, _ in found), "a rank says the same"


@pytest.mark.parametrize(
    ("word", "is_everywhere"),
    [
        ("own_hooks:on_train_begin", True),  # no event
        ("on_train_end=own_hooks:limit", True),
        ("own_hooks:on_train_epoch_end", True),
        ("on_train_end=own_hooks:helpers", True),
        ("own_absent:on_train_end", False),
        ("own_needy:on_train_end", False),
        ("on_train_end=json:dmps", False),  # another release of a package may have it
    ],
)
def test_what_another_environment_may_have_is_told_apart(folder: Path, word: str, is_everywhere: bool) -> None:
    from yoloscale.yolo.callbacks import problems

    assert [certain for _, certain in problems([word], str(folder))] == [is_everywhere]


def test_a_file_system_that_does_not_answer_a_rank_is_no_fault_of_the_config(folder: Path) -> None:
    from yoloscale.yolo.callbacks import problems, registry

    (folder / "own_stale.py").write_text("raise OSError(116, 'Stale file handle')\n")
    with pytest.raises(OSError, match="Stale file handle"):
        registry(["own_stale:on_train_end"], str(folder))
    ((problem, is_everywhere),) = problems(["own_stale:on_train_end"], str(folder))
    assert "own_stale.py:1" in problem.found
    assert not is_everywhere


def test_a_folder_that_is_not_mounted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from yoloscale.yolo.callbacks import problems

    monkeypatch.setattr(sys, "path", list(sys.path))
    ((problem, _),) = problems(["own_absent:on_train_end"], str(tmp_path / "code"))
    assert f"no folder {tmp_path / 'code'}" in problem.found
    assert "cluster.container_mounts" in problem.instead


def test_the_launcher_asks_a_process_of_its_own(folder: Path) -> None:
    from yoloscale.datasets.fetch import FetchError, run_fetch

    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,)).start()\non_train_end = print\n"
    (folder / "own_thread.py").write_text(thread)  # is not waited for
    words = ["own_hooks:on_train_start", "own_thread:on_train_end", "own_needy:on_train_end"]
    answer = run_fetch(["callbacks", str(folder), *words], print)
    ((key, found, _, is_everywhere),) = json.loads(answer)
    assert key == "callbacks"
    assert "own_needy.py:2" in found
    assert not is_everywhere
    (folder / "own_end.py").write_text("import os\nprint('noise')\nos._exit(7)\n")
    with pytest.raises(FetchError):
        run_fetch(["callbacks", str(folder), "own_end:on_train_end"], print)


def test_a_trainer_has_what_callbacks_read(parts_of: Callable[..., Any], folder: Path) -> None:
    from yoloscale.checkpoint.state import Progress
    from yoloscale.yolo.callbacks import EVENTS
    from yoloscale.yolo.trainer_view import TrainerView

    parts = parts_of("detect")
    trainer, seen = parts.trainer, list[tuple[str, int]]()
    for event in EVENTS:
        trainer.callbacks[event].append(lambda trainer, event=event: seen.append((event, trainer.epoch)))
    view = TrainerView(trainer, parts.stepper, parts.order, parts.plan, is_first=True)
    progress = Progress()
    progress.position.epochs = 2
    view.train_start(progress)
    view.epoch_start(progress)
    for part in (1.0, 3.0):
        import torch

        view.batch_end(torch.tensor(part), {"box_loss": torch.tensor(part)})
    view.epoch_end(progress)
    view.evaluated({"metrics/mAP50(B)": 0.5, "val/box_loss": 1.0, "fitness": 0.4}, 0.4)
    assert (trainer.stopper.best_epoch, trainer.stopper.best_fitness) == (1, 0.4)
    view.saved()
    view.fit_epoch_end()
    view.finished({"metrics/mAP50(B)": 0.6, "fitness": 0.5})
    view.teardown()
    assert seen == [
        *[("on_pretrain_routine_end", 0), ("on_train_start", 0), ("on_train_epoch_start", 0)],
        *[("on_train_batch_end", 0), ("on_train_batch_end", 0), ("on_train_epoch_end", 0)],
        *[("on_model_save", 0), ("on_fit_epoch_end", 0), ("on_fit_epoch_end", 1), ("on_train_end", 0), ("teardown", 0)],
    ]
    assert trainer.tloss == {"box_loss": 2.0}
    assert trainer.label_loss_items(trainer.tloss) == {"train/box_loss": 2.0}
    assert (trainer.metrics, trainer.fitness, trainer.best_fitness) == ({"metrics/mAP50(B)": 0.6}, 0.5, 0.4)
    assert trainer.last.name == "last.pt"
    assert (len(trainer.train_loader), trainer.args.batch, trainer.batch_size) == (8, 8, 8)
    assert trainer.ema.ema is parts.stepper.average.module
    assert trainer.model is parts.learner.module
    assert len(trainer.scheduler.get_last_lr()) == len(trainer.optimizer.param_groups)

    seen.clear()
    other = TrainerView(trainer, parts.stepper, parts.order, parts.plan, is_first=False)
    other.saved()
    other.finished({})
    assert [event for event, _ in seen] == ["on_fit_epoch_end"]
    assert not other.wants_files
