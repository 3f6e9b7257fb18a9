"""weights/*.pt: plain Ultralytics checkpoints of the averaged model, whole or not there."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn
from ultralytics import __version__
from ultralytics.nn.tasks import load_checkpoint
from ultralytics.utils import DEFAULT_CFG_DICT

from yoloscale.system.files import PART, replacement, sync

RUN_ID = "yoloscale_run_id"  # a key of the file beside Ultralytics' own


def published(path: Path) -> nn.Module:
    """The model of a `.pt` that `write` wrote, in fp32.

    Not by Ultralytics' loader: it takes quotes out of file names, and the name of a run may have some.
    """
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)  # written by this run
    model: nn.Module = content["model"]
    return model.float()


def checkpoint(path: Path, device: torch.device | str = "cpu") -> Any:
    """The model of any `.pt`, in fp32 on this device, as Ultralytics' loader has it.

    The loader drops quotes in a name and spaces around it, so it gets another one where there are some.
    """
    if str(path) == str(path).strip().replace("'", ""):
        return load_checkpoint(path, device=device)[0]
    with TemporaryDirectory() as folder:
        link = Path(folder) / "weights.pt"
        link.symlink_to(path.absolute())
        return load_checkpoint(link, device=device)[0]


class PublishedCopy:
    """A copy of a model in half precision on the host, filled again for every checkpoint that is published.

    Args:
        module: the averaged model; it is not changed. Filling takes milliseconds, making this the time of a deep copy.
        arguments: Ultralytics' arguments of the run; a path of the run itself must not be among them.
        run_id: of the run, for whoever finds the file somewhere; Ultralytics takes no notice of it.
        check: raises OSError if the folder is not the run's any more; called right before a file is replaced.
    """

    def __init__(
        self,
        module: nn.Module,
        arguments: dict[str, Any],
        run_id: str = "",
        check: Callable[[], None] = lambda: None,
    ) -> None:
        model: Any = deepcopy(module).half().cpu().to(memory_format=torch.contiguous_format)
        model.args = DEFAULT_CFG_DICT | {key: arguments[key] for key in arguments.keys() & DEFAULT_CFG_DICT.keys()}
        model.criterion = None
        self._model, self._run_id, self._check = model, run_id, check
        self._sources = list(module.state_dict().values())  # the live tensors
        self._copies = list(model.state_dict().values())

    @torch.no_grad()
    def fill(self, metrics: dict[str, float], epoch: int) -> Callable[[Path], None]:
        """Copy the weights as they are now, of this epoch (from 1); what is returned writes the copy to a file.

        It must not be called any more once the copy is filled again.
        """
        torch._foreach_copy_(self._copies, self._sources)
        date = datetime.now().astimezone().isoformat()
        return lambda path: write(path, self._content({**metrics, "epoch": epoch}, date), self._check)

    def _content(self, metrics: dict[str, float], date: str) -> dict[str, Any]:
        """A checkpoint as `strip_optimizer` leaves it: no training state."""
        for value in self._copies:
            if value.is_floating_point():
                torch.nan_to_num_(value)  # what overflows in half precision
        return {
            "epoch": -1,
            "best_fitness": None,
            "stopper": None,
            "model": self._model,
            "ema": None,
            "updates": None,
            "optimizer": None,
            "scaler": None,
            "train_args": self._model.args,
            "train_metrics": metrics,
            "train_results": {},
            "date": date,
            "version": __version__,
            "license": "AGPL-3.0 License (https://ultralytics.com/license)",
            "docs": "https://docs.ultralytics.com",
            RUN_ID: self._run_id,
        }


def write(path: Path, content: dict[str, Any], check: Callable[[], None] = lambda: None) -> None:
    """Write a checkpoint, synced and whole.

    `check` is called right before the file takes its place. Raises OSError if the disk does not take it, or what
    `check` raises; the file that was there stays.
    """
    path.parent.mkdir(exist_ok=True)
    for part in path.parent.glob(f"{path.name}.*{PART}"):  # of one that was killed amid it
        part.unlink(missing_ok=True)
    try:
        with replacement(path) as part:
            torch.save(content, part)
            sync(part)
            check()
    except RuntimeError as error:  # torch's writer hides what the disk said
        raise OSError(f"{path.name} could not be written, the disk may be full: {error}") from error
