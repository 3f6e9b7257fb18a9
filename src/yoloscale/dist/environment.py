"""Who am I: the rank of this process as torchrun (or a person) put it into the environment."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Ranks:
    """This process among the others. Ranks count from 0; a process started alone is rank 0 of 1."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    host: str = field(default_factory=socket.gethostname)

    @property
    def is_first(self) -> bool:
        """True on the one rank that writes what exists once per run."""
        return self.rank == 0

    @property
    def is_first_of_node(self) -> bool:
        """True on the one rank of each node that writes what exists once per node."""
        return self.local_rank == 0


def from_environment(environ: Mapping[str, str] = os.environ) -> Ranks:
    """Read torchrun's variables; without them this is a single process."""
    if "RANK" in environ:
        world_size = int(environ["WORLD_SIZE"])
        return Ranks(
            rank=int(environ["RANK"]),
            world_size=world_size,
            local_rank=int(environ.get("LOCAL_RANK", "0")),
            local_world_size=int(environ.get("LOCAL_WORLD_SIZE", str(world_size))),
        )
    return Ranks()
