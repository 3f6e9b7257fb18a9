"""`callbacks=` as people type it."""

from __future__ import annotations

from pathlib import Path

import pytest

from yoloscale.config.check.callbacks import EVENTS, OF_FIRST_RANK, parse
from yoloscale.config.compose.hydra import compose


@pytest.mark.parametrize(
    ("word", "event", "module", "attribute"),
    [
        ("mine:on_fit_epoch_end", "on_fit_epoch_end", "mine", "on_fit_epoch_end"),
        ("on_train_end=mine:notify", "on_train_end", "mine", "notify"),
        ("lab.hooks.slack:Slack.on_model_save", "on_model_save", "lab.hooks.slack", "Slack.on_model_save"),
        ("teardown = lab.hooks:Slack.close", "teardown", "lab.hooks", "Slack.close"),
    ],
)
def test_a_function_is_told_by_its_path(word: str, event: str, module: str, attribute: str) -> None:
    (callback,), problems = parse([word])
    assert (callback.event, callback.module, callback.attribute) == (event, module, attribute)
    assert not problems


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("mine.py:on_train_end()", "no import path"),
        ("on_train_end", "no import path"),
        ("mine:notify", "write callbacks=[EVENT=mine:notify]"),
        ("on_fit_epoch=mine:notify", "did you mean on_fit_epoch_end?"),
        ("mine:on_predict_start", "an event of `yolo predict`"),
        ("mine:on_export_end", "an event of `yolo export`"),
        ("mine:optimizer_step", "reserves and does not call"),
    ],
)
def test_what_is_never_called_is_refused_with_what_is(word: str, said: str) -> None:
    found, (problem,) = parse([word])
    assert not found
    assert said in str(problem)
    assert "import path" in said or all(event in str(problem) for event in EVENTS)


def test_every_event_of_ultralytics_has_a_meaning_or_a_reason_why_not() -> None:
    from ultralytics.utils.callbacks.base import default_callbacks

    assert set(default_callbacks) >= EVENTS
    for event in set(default_callbacks) - EVENTS:
        assert "is an event" in str(parse([f"mine:{event}"])[1][0]), event
    assert "on_fit_epoch_end" not in OF_FIRST_RANK


@pytest.mark.parametrize(
    "typed",
    [
        "callbacks=mine:on_train_end,on_model_save=lab.hooks:save",
        "callbacks=[mine:on_train_end,on_model_save=lab.hooks:save]",
        "callbacks=['mine:on_train_end','on_model_save=lab.hooks:save']",
    ],
)
def test_spellings_are_one_list_and_the_folder_is_the_working_folder(
    typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = compose([typed])
    assert config.callbacks == ["mine:on_train_end", "on_model_save=lab.hooks:save"]
    assert config.paths.code == str(tmp_path)
    assert compose([typed, "paths.code=lab"]).paths.code == str(tmp_path / "lab")
    assert compose([]).paths.code is None
