"""Whether node 0 can be reached from another node: an agent that waits for it does not say so for ten minutes."""

from __future__ import annotations

import socket
import time

from yoloscale.agent import torchrun
from yoloscale.agent.spec import NodeSpec
from yoloscale.system.network import split_endpoint

_LOOK_S = 1.0
_CONNECT_S = 0.5  # longer than any network between two nodes takes


class Meeting:
    """One attempt's meeting at node 0, as seen from another node. On node 0 it never fails."""

    def __init__(self, spec: NodeSpec) -> None:
        is_waited_for = spec.node_rank > 0 and spec.nodes > 1
        self._endpoint = spec.rdzv_endpoint if is_waited_for else None
        self._deadline = time.monotonic() + torchrun.READ_TIMEOUT_S
        self._look_at = time.monotonic() + _LOOK_S

    def has_failed(self) -> bool:
        """Look, about once a second, until node 0 has answered once; True when the time for it is over."""
        if self._endpoint is None or time.monotonic() < self._look_at:
            return False
        if self._is_reached(self._endpoint):
            self._endpoint = None
            return False
        self._look_at = time.monotonic() + _LOOK_S
        return time.monotonic() >= self._deadline

    def _is_reached(self, endpoint: str) -> bool:
        try:
            socket.create_connection(split_endpoint(endpoint), timeout=_CONNECT_S).close()
        except OSError:
            return False
        return True
