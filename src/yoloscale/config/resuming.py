"""What may change about a run that goes on, key by key. Pure.

| keys | what a change does | taken |
| --- | --- | --- |
| cluster, but for exact_reduce and sync_bn | says where it runs; the optimiser steps stay (config/plan.py) | always |
| data, where the images and labels are the same | says where they lie | always |
| workers, cache, loggers, checkpoints, plots, …: `FREE` | nothing about the training | always |
| batch, epochs, time, patience, close_mosaic, …: `ASKED` | the run is not the one that was planned | by resume |
| augmentations, to `[]` | no Albumentations from here on: nodes have others, say | by resume |
| all others | another training: the state it would go on from was made by the old values | never |

A run of a search is compared with the others of it: of `ASKED`, it takes `batch` and `channels_last` only.
"""

from __future__ import annotations

from dataclasses import dataclass

from yoloscale.config.plan import difference, is_automatic, plan
from yoloscale.config.schema import Config

# at the root; loader workers and caches give the same samples, the rest is what is written beside the training
FREE = frozenset(
    {
        *("workers", "cache", "verbose", "plots", "save", "save_period", "save_json"),
        *("profile", "visualize", "save_txt", "save_conf"),
    }
)
FREE_GROUPS = ("checkpoint", "logger", "debug", "paths")
FREE_BELOW = (*(f"{group}." for group in FREE_GROUPS), "model.allow_pickle")
ASKED = ("batch", "epochs", "time", "patience", "close_mosaic", "val", "augment", "channels_last")
AUGMENTATIONS = "augmentations"
IN_A_SEARCH = ("batch", "channels_last")


@dataclass(frozen=True)
class Done:
    """What a run has behind it: whole epochs, and the global batch of the first start; None: there was none."""

    epochs: int = 0
    batch: int | None = None


def is_free(key: str) -> bool:
    """Whether a change of the key changes nothing about the training."""
    return key in FREE or key in FREE_GROUPS or key.startswith(FREE_BELOW)


def is_asked(key: str, frozen: Config, wanted: Config) -> bool:
    """Whether a change of the key to what is wanted is taken by whoever asks for it with `resume`."""
    is_off = key == AUGMENTATIONS and wanted.augmentations == []
    return (key in ASKED or is_off) and (frozen.trial is None or key in IN_A_SEARCH)


def consequence(key: str, frozen: Config, found: Config) -> str | None:
    """What follows from a change of one of `ASKED`, as a part of a sentence; None where another key tells it."""
    epochs, closing = found.epochs, found.close_mosaic
    ends = (
        f"mosaic ends after epoch {max(epochs - closing, 0)}"
        if closing and found.mosaic
        else "mosaic stays on to the end"
    )
    ends = "mosaic is off" if found.mosaic and closing >= epochs else ends
    told: dict[str, str] = {
        "epochs": f"from here on, the learning rate is that of a run of {epochs} epochs; {ends}"
        if found.time is None
        else f"no effect: how many there are follows from time={found.time:g}",
        "time": "the training of before counts, and the length and the learning rate follow"
        if found.time is not None
        else f"the length and the learning rate are again those of {epochs} epochs",
        "patience": "it decides when the run stops early, counted from its best epoch"
        if found.patience
        else "the run does not stop early",
        "close_mosaic": ends,
        "val": "each epoch is evaluated"
        if found.val
        else "only the last epoch is evaluated, so the best of the others is not known",
        AUGMENTATIONS: "from here on, no Albumentations are applied",
        "augment": "the final metrics are not comparable with those of before",
        "channels_last": "the same results but for the order of floating-point sums",
    }
    return told.get(key)


def remarks(frozen: Config, found: Config) -> list[str]:
    """A line for each change after which the run is not the one that was planned; `batch` is told by its plan."""
    lines = []
    for key in (*ASKED, AUGMENTATIONS):
        before, now = getattr(frozen, key), getattr(found, key)
        if before != now and (what := consequence(key, frozen, found)) is not None:
            lines.append(f"{key}={_said(now)} instead of {_said(before)}: {what}")
    return lines


def _said(value: object) -> str:
    return (
        {None: "null", True: "true", False: "false"}.get(value, str(value))
        if isinstance(value, (bool, type(None)))
        else str(value)
    )


def said(frozen: Config, found: Config) -> list[str]:
    """What makes the run another one than it would have been: each as the end of the sentence `it goes on with …`."""
    lines = remarks(frozen, found)
    if found.batch != frozen.batch and not is_automatic(found.batch) and (told := difference(found, plan(found))):
        lines.append(f"batch={found.batch} instead of {frozen.origin.batch or frozen.batch}: {told}")
    before, now = frozen.origin.dataset, found.origin.dataset
    if frozen.data != found.data and None in (before, now):
        lines.append(f"data in {found.data.source}; whether it is the same was not looked at, as {_why(before)}")
    elif before is not None and before != now:
        counted = (
            f"{_images(before)} training images, now {_images(now)}" if _images(before) != _images(now) else "others"
        )
        lines.append(
            f"data in {found.data.source} as it is now: its images or labels ({counted}) are not those of the start "
            "before, so the samples are others, too"
        )
    return lines


def _why(digest: str | None) -> str:
    if digest is None:
        return "the run was started by a version that kept no fingerprint, or where its data was not looked at"
    return "it is not looked at here"


def _images(digest: str | None) -> str:
    return (digest or "?").partition(":")[0]
