"""RUN/job/data-HOST.json: what a node has found a dataset to be that is looked at on the nodes only.

Each node has its own cache, so the frozen config does not tell. The launcher of the node writes it when the run starts
there first; later starts, and the ranks, keep to it whatever has become of the source.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from yoloscale.config.node_paths import is_checked_later
from yoloscale.config.schema import Config, ValConfig
from yoloscale.runs.directory import RunDirectory
from yoloscale.system.files import host_name, write_whole


@dataclass(frozen=True)
class NodeData:
    """A dataset on one node: `source` as in the config, the others as in its `origin`."""

    source: str
    dataset: str | None
    opened: str | None


def put_down(run: RunDirectory, data: NodeData) -> None:
    """Put on record what the data is on this node. Raises OSError, and RunLost if `run` has lost its folder."""
    if _read(run.node_data(host_name())) != data:
        run.check()
        write_whole(run.node_data(host_name()), json.dumps(asdict(data)))


def on_this_node(run: RunDirectory, config: Config | ValConfig) -> NodeData | None:
    """What is on record of this node; None if it has none, or one of another source."""
    return _of(config, _read(run.node_data(host_name())))


def on_another(run: RunDirectory, config: Config | ValConfig) -> NodeData | None:
    """What is on record of any node: the first by name."""
    return next((data for path in sorted(run.job.glob("data-*.json")) if (data := _of(config, _read(path)))), None)


def opened(run: RunDirectory, config: Config | ValConfig) -> str | None:
    """Where the ranks of this node find their data below the cache, as `origin.opened`; None: by its source."""
    if config.origin.opened is not None or not is_checked_later(config):
        return config.origin.opened
    data = on_this_node(run, config)
    return None if data is None else data.opened


def _of(config: Config | ValConfig, data: NodeData | None) -> NodeData | None:
    return data if data is not None and data.source == config.data.source else None


def _read(path: Path) -> NodeData | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return NodeData(content["source"], content["dataset"], content["opened"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
