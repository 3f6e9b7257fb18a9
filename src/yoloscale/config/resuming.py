"""What may change about a run that goes on, key by key. Pure.

| keys | what a change does | taken |
| --- | --- | --- |
| cluster, but for exact_reduce and sync_bn | says where it runs; the optimiser steps stay (config/plan.py) | always |
| data, where the images and labels are the same | says where they lie | always |
| workers, cache, loggers, checkpoints, plots, …: `FREE` | nothing about the training | always |
| batch, epochs, time, patience, close_mosaic, …: `ASKED` | the run is not the one that was planned | by resume |
| augmentations, to `[]` | no Albumentations from here on: nodes have others, say | by resume |
| all others | another training: the state it would go on from was made by the old values | never |

Of a run that predicts or evaluates, what its rows or metrics depend on stays: all but where it runs, the place of its
weights, the loggers, and what is written beside: `FREE_OF_INFERENCE`.

A run of a search is compared with the others of it: of `ASKED`, it takes `batch` and `channels_last` only.
"""

from __future__ import annotations

from dataclasses import dataclass

from yoloscale.config.plan import difference, is_automatic, plan
from yoloscale.config.quoting import as_typed
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


_FREE_OF_PREDICTION = (
    *("save", "save_txt", "save_conf", "save_crop", "save_json", "save_frames", "show_labels", "show_conf"),
    *("show_boxes", "line_width", "predict.save", "predict.loaders"),
)
FREE_OF_INFERENCE = {
    "predict": _FREE_OF_PREDICTION,
    "bench_predict": _FREE_OF_PREDICTION,
    "val": ("workers", "cache", "verbose", "plots", "save_json", "save_txt", "save_conf"),
}


@dataclass(frozen=True)
class Done:
    """What a run has behind it: whole epochs, and the global batch of the first start; None: there was none."""

    epochs: int = 0
    batch: int | None = None


def is_free(key: str) -> bool:
    """Whether a change of the key changes nothing about the training."""
    return key in FREE or key in FREE_GROUPS or key.startswith(FREE_BELOW)


def is_asked(key: str, frozen: Config, target: Config) -> bool:
    """Whether a change of the key to what is wanted is taken by whoever asks for it with `resume`."""
    is_off = key == AUGMENTATIONS and target.augmentations == []
    return (key in ASKED or is_off) and (frozen.trial is None or key in IN_A_SEARCH)


def _consequences(config: Config) -> dict[str, str]:
    """What follows from a change of a key of `ASKED` to that of the config, but for `batch`, which the plan tells."""
    epochs, closing, time = config.epochs, config.close_mosaic, config.time
    is_off, is_closed = bool(config.mosaic and closing >= epochs), bool(config.mosaic and closing)
    ends = f"mosaic ends after epoch {max(epochs - closing, 0)}" if is_closed else "mosaic stays on to the end"
    ends = "mosaic is off" if is_off else ends
    early = "it decides when the run stops early, counted from its best epoch"
    last_only = "only the last epoch is evaluated, so the best of the others is not known"
    of_length = {
        "epochs": f"from here on, the learning rate is that of a run of {epochs} epochs; {ends}",
        "time": f"the length and the learning rate are again those of {epochs} epochs",
    }
    if time is not None:
        of_length = {
            "epochs": f"no effect: how many there are follows from time={time:g}",
            "time": "the training of before counts, and the length and the learning rate follow",
        }
    return {
        **of_length,
        "patience": early if config.patience else "the run does not stop early",
        "close_mosaic": ends,
        "val": "each epoch is evaluated" if config.val else last_only,
        AUGMENTATIONS: "from here on, no Albumentations are applied",
        "augment": "the final metrics are not comparable with those of before",
        "channels_last": "the same results but for the order of floating-point sums",
    }


def remarks(frozen: Config, config: Config) -> list[str]:
    """A line for each change after which the run is not the one that was planned; `batch` is told by its plan."""
    lines, consequences = [], _consequences(config)
    for key in (*ASKED, AUGMENTATIONS):
        before, now = getattr(frozen, key), getattr(config, key)
        if before != now and (what := consequences.get(key)):
            lines.append(f"{key}={as_typed(now)} instead of {as_typed(before)}: {what}")
    return lines


def said(frozen: Config, config: Config) -> list[str]:
    """What makes the run another one than it would have been: each as the end of the sentence `it goes on with …`."""
    lines = remarks(frozen, config)
    if config.batch != frozen.batch and not is_automatic(config.batch) and (change := difference(config, plan(config))):
        lines.append(f"batch={config.batch} instead of {frozen.origin.batch or frozen.batch}: {change}")
    before, now = frozen.origin.dataset, config.origin.dataset
    if frozen.data != config.data and None in (before, now):
        lines.append(
            f"data in {config.data.source}; whether it is the same was not looked at, as {why_unknown(before)}"
        )
    elif before is not None and before != now:
        old, new = images_of(before), images_of(now)
        counted = "others" if old == new else f"{old} training images, now {new}"
        what = f"its images or labels ({counted}) are not those of the start before, so the samples are others, too"
        lines.append(f"data in {config.data.source} as it is now: {what}")
    return lines


def why_unknown(digest: str | None) -> str:
    """Why a dataset cannot be compared, of which one side has this digest."""
    if digest is None:
        return "the run was started by a version that kept no fingerprint, or where its data was not looked at"
    return "it is not looked at here"


def images_of(digest: str | None) -> str:
    """The number of training images that a dataset's digest begins with."""
    return (digest or "?").partition(":")[0]
