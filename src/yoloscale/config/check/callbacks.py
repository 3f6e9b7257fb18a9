"""`callbacks=`: functions of one's own that are called on Ultralytics' events, told by their import path.

`module:function` where the function has the event's name, or `event=module:function`; a function may lie deeper
(`package.module:Class.method`). Nothing is imported here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from yoloscale.config.keys import nearest
from yoloscale.errors import Problem

# Ultralytics' events that happen here, and on which ranks; a test compares with ultralytics.utils.callbacks.base.
OF_FIRST_RANK = frozenset({"on_pretrain_routine_start", "on_model_save", "on_train_end", "on_val_end"})
OF_ALL_RANKS = frozenset(
    {
        *("on_pretrain_routine_end", "on_train_start", "on_train_epoch_start", "on_train_batch_start"),
        *("on_train_batch_end", "on_train_epoch_end", "on_fit_epoch_end", "teardown"),
        *("on_val_start", "on_val_batch_start", "on_val_batch_end"),
    }
)
EVENTS = OF_FIRST_RANK | OF_ALL_RANKS
_NEVER = {
    **dict.fromkeys(
        ("optimizer_step", "on_before_zero_grad", "on_params_update"),
        "an event that Ultralytics reserves and does not call",
    ),
    **{
        f"on_{verb}_{when}": f"an event of `yolo {verb}`"
        for verb in ("predict", "export")
        for when in ("start", "batch_start", "batch_end", "postprocess_end", "end")
    },
}
_NAME = r"[^\W\d]\w*"
_SPELLING = re.compile(rf"(?:({_NAME})\s*=\s*)?({_NAME}(?:\.{_NAME})*):({_NAME}(?:\.{_NAME})*)")


@dataclass(frozen=True)
class Callback:
    """A function of a module, and the event that it is called on."""

    event: str
    module: str
    attribute: str  # dotted

    def __str__(self) -> str:
        return f"{self.module}:{self.attribute}"


def parse(words: Sequence[str]) -> tuple[list[Callback], list[Problem]]:
    """The callbacks that the words name, in their order, and the problem of each word that names none."""
    named, problems = list[Callback](), list[Problem]()
    for word in words:
        match = _SPELLING.fullmatch(word.strip())
        if match is None:
            instead = "write callbacks=[module:function], or callbacks=[event=module:function]"
            problems.append(Problem("callbacks", f"{word!r} is no import path", instead))
            continue
        event, module, attribute = match.groups()
        callback = Callback(event or attribute.rpartition(".")[2], module, attribute)
        if callback.event in EVENTS:
            named.append(callback)
        else:
            problems.append(_no_event(word, callback, is_typed=event is not None))
    return named, problems


def _no_event(word: str, callback: Callback, *, is_typed: bool) -> Problem:
    events = f"the events are {', '.join(sorted(EVENTS))}"
    if why := _NEVER.get(callback.event):
        instead = f"leave it out, or choose another: {events}"
        return Problem("callbacks", f"{word!r}: {callback.event} is {why}", instead)
    near = nearest(callback.event, EVENTS)
    meant = f"did you mean {near[0]}? " if near else ""
    if is_typed:
        return Problem("callbacks", f"{word!r}: there is no event {callback.event}", f"{meant}{events}")
    instead = f"{meant}write callbacks=[EVENT={callback}]; {events}"
    return Problem("callbacks", f"{word!r}: {callback.event} is not the name of an event", instead)
