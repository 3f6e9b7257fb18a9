"""What Ultralytics says while a rank is set up: told in plain lines, and only what a person should know."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("level", "logged", "text", "is_warning"),
    [
        (logging.WARNING, "no model scale passed. Assuming scale='n'.", None, True),
        (
            logging.WARNING,
            "WARNING ⚠️ imgsz=[70] must be a\n multiple of 32",
            "imgsz=[70] must be a multiple of 32",
            True,
        ),
        (logging.ERROR, "\x1b[31mERROR ❌ train: found 3 images\x1b[0m", "train: found 3 images", True),
        (
            logging.WARNING,
            "Slow image access detected ❌ (ping: 30.1±2 ms)",
            "Slow image access detected (ping: 30.1±2 ms)",
            False,
        ),
        (
            logging.INFO,
            "optimizer AdamW, lr0 0.00119, momentum 0.9 (optimizer=auto)",
            None,
            False,
        ),
        (
            logging.INFO,
            "\x1b[34m\x1b[1malbumentations: \x1b[0mBlur(p=0.1),\n OneOf()",
            "albumentations: Blur(p=0.1), OneOf()",
            False,
        ),
    ],
)
def test_what_is_told(level: int, logged: str, text: str | None, is_warning: bool) -> None:
    from yoloscale.yolo.messages import Message, worth_telling

    assert worth_telling(level, logged) == Message(text or logged, is_warning)


@pytest.mark.parametrize(
    "logged",
    [
        "Transferred 708/708 items from pretrained weights",
        "Overriding model.yaml nc=80 with nc=2",
        "optimizer: 'optimizer=auto' found, ignoring 'lr0=0.3' and determining best 'optimizer' and 'lr0' … ",
        "train: WARNING ⚠️ a.jpg: ignoring corrupt image/label: …\ntrain: b.jpg: 1 duplicate labels removed",
        "",
    ],
)
def test_news_of_what_was_asked_for_are_not_told(logged: str) -> None:
    from yoloscale.yolo.messages import worth_telling

    assert worth_telling(logging.INFO, logged) is None


def test_what_the_check_of_the_dataset_tells_is_not_told_again() -> None:
    """As this Ultralytics words it, of keypoints that images cannot be mirrored with."""
    import inspect

    from ultralytics.data import augment

    from yoloscale.yolo.messages import worth_telling

    lines = inspect.getsource(augment.v8_transforms).splitlines()
    (logged,) = [line.split('"')[1] for line in lines if "LOGGER.warning" in line and "'flip_idx'" in line]
    assert worth_telling(logging.WARNING, logged) is None


def test_paths_are_relative_to_the_working_folder_and_lines_are_not_endless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yoloscale.yolo.messages import LONGEST, plain

    monkeypatch.chdir(tmp_path)
    assert plain(f"No labels found in {tmp_path}/labels/train.cache.") == "No labels found in labels/train.cache."
    assert len(plain("word " * 500)) <= LONGEST


def test_ranks_whose_logger_is_closed_are_heard_and_it_is_closed_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Ultralytics logs errors only on all ranks but the first."""
    from ultralytics.utils import LOGGER

    from yoloscale.yolo.messages import listening

    level, handlers = LOGGER.level, list(LOGGER.handlers)
    own = [handler.level for handler in handlers]
    try:
        LOGGER.setLevel(logging.ERROR)
        for handler in handlers:
            handler.setLevel(logging.ERROR)
        with listening() as heard:
            for _ in range(3):
                LOGGER.warning("disabling 'fliplr'")
        LOGGER.warning("too late")
        assert [message.text for message in heard] == ["disabling 'fliplr'"]
        assert LOGGER.level == logging.ERROR
        assert LOGGER.handlers == handlers
        assert "fliplr" not in capsys.readouterr().out
    finally:
        LOGGER.setLevel(level)
        for handler, former in zip(handlers, own, strict=True):
            handler.setLevel(former)
