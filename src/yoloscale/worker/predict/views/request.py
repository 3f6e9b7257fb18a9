"""What is to be made of the rows of one prediction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yoloscale.config.schema.predict import PredictConfig


@dataclass(frozen=True)
class Drawing:
    """How Ultralytics draws: `line_width` in pixels (None: by the image's size), and what is drawn."""

    line_width: int | None = None
    boxes: bool = True
    labels: bool = True
    conf: bool = True


@dataclass(frozen=True)
class ViewRequest:
    """Views of all rows of a run.

    Args:
        views: names out of predictions/views.py.
        units: how many parts there are; unit: images of each but the last.
        names: of the classes.
        save_conf: a score ends each line in labels/.
    """

    views: frozenset[str]
    units: int
    unit: int
    names: Mapping[int, str]
    save_conf: bool = False
    drawing: Drawing = field(default_factory=Drawing)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that tell it from other requests of the same run."""
        plain = asdict(self) | {"views": sorted(self.views), "names": sorted(self.names.items())}
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def view_request(config: PredictConfig, names: Mapping[int, str], units: int) -> ViewRequest:
    """The request of a frozen config, in which views that the task cannot have are refused."""
    drawing = Drawing(config.line_width, config.show_boxes, config.show_labels, config.show_conf)
    views = frozenset(view.value for view in config.predict.save)
    return ViewRequest(views, units, config.images_of_unit, names, config.save_conf, drawing)
