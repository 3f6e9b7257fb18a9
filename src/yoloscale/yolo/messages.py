"""What is logged while a rank is set up and a person should know: warnings, and what was chosen for the run."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ultralytics.utils import LOGGER

LONGEST = 400  # characters of a message; the rank's log has all of it
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_PREFIX = re.compile(r"^(WARNING|ERROR)\b[^\w'\"]*")  # Ultralytics' formatter writes it into the record itself
_PICTOGRAMS = re.compile("[\u2600-\u27bf\U0001f300-\U0001faff\ufe0f]")
CHOSEN = "(optimizer=auto)"  # how the line of `learner` ends that tells the choice; Ultralytics' own tells none
_ALBUMENTATIONS = re.compile(r"^(\x1b\[[0-9;]*m)*albumentations: \S*\w")  # which are applied, beside its own
_MEASURED = re.compile(r"Slow image access")  # the speed of a few files just then, which is no fault of the run
_TOLD = re.compile(r"No 'flip_idx' array defined")  # with what to write instead, when the dataset is checked


@dataclass(frozen=True)
class Message:
    """One thing that was said: `text` is a line without colours, `is_warning` tells it from a mere piece of news."""

    text: str
    is_warning: bool


class _Listener(logging.Handler):
    """Keeps what `worth_telling` lets through, each text once."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.messages: list[Message] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = worth_telling(record.levelno, record.getMessage())
        if message is not None and message not in self.messages:
            self.messages.append(message)


@contextmanager
def listening() -> Iterator[list[Message]]:
    """Within: what Ultralytics says that is worth telling is put into the list. Its own log stays as it is.

    On all ranks but the first it logs errors only, so that its logger is opened further here; its handler is not.
    """
    listener, level = _Listener(), LOGGER.level
    LOGGER.addHandler(listener)
    LOGGER.setLevel(min(level, logging.INFO))
    try:
        yield listener.messages
    finally:
        LOGGER.removeHandler(listener)
        LOGGER.setLevel(level)


def worth_telling(level: int, logged: str) -> Message | None:
    """The message of a log record, in one plain line; None if it is no more than news of what was asked for."""
    is_news = level < logging.WARNING and not _ALBUMENTATIONS.search(logged)
    if (is_news and not logged.endswith(CHOSEN)) or _TOLD.search(logged):
        return None
    text = plain(logged)
    is_warning = level >= logging.WARNING and not _MEASURED.search(text)
    return Message(text, is_warning) if text else None


def plain(logged: str) -> str:
    """A log message as one line: no colours, no pictograms, paths below the working folder relative to it."""
    text = " ".join(_PICTOGRAMS.sub("", _COLOURS.sub("", logged)).split())
    text = _PREFIX.sub("", text).replace(f"{Path.cwd()}{os.sep}", "")
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 2]} …"
