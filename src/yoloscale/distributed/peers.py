"""What this process knows of the other ranks: whether one of them is gone, and why.

There is one of it per process, as of the heartbeat. The watchdog's threads write it, the main thread reads it around
every collective: a collective that was aborted returns numbers that mean nothing, so the flag is raised before the
communicators are, and looked at before the numbers are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from yoloscale.distributed.failures import is_collateral
from yoloscale.distributed.heartbeat import HEARTBEAT, WAITING
from yoloscale.system.formatting import rank_name
from yoloscale.system.waiting import wait_until


@dataclass(frozen=True)
class Loss:
    """The rank that failed first, where that is known, and what became of it, in words.

    `is_gone`: its process has ended without a word, so it saves nothing itself.
    """

    rank: int | None
    host: str
    error: str
    is_gone: bool = False

    @property
    def who(self) -> str:
        return rank_name(self.rank, self.host) if self.rank is not None else "another rank"


class PeerLost(RuntimeError):  # noqa: N818  # what has happened, as of RunLost
    """Another rank is gone: nothing is wrong with this one, but its collectives have nobody to meet."""

    def __init__(self, loss: Loss) -> None:
        super().__init__(f"{loss.who}: {loss.error}" if loss.rank is not None else loss.error)
        self.loss = loss


class Peers:
    """The other ranks, as this process knows them."""

    def __init__(self) -> None:
        self.loss: Loss | None = None  # once set, no collective counts any more
        self.have_met = False  # a collective has worked: the hosts' network and libraries are right
        self.devices_have_met = False  # one between GPUs has: so are theirs
        self.are_leaving = False  # the run is over here, and the others' processes may end
        self.announce: Callable[[Loss], None] = lambda loss: None  # tell all others; the watchdog's
        self.patience_s = 0.0  # how long to wait for word of who is gone, where a connection has broken; the watchdog's
        self.claim_rescue: Callable[[], bool] = lambda: False  # whether to save in the place of rank 0; the watchdog's

    def check(self) -> None:
        if self.loss is not None:
            raise PeerLost(self.loss)

    def is_collateral(self, error: BaseException) -> bool:
        """Whether the error only says that another rank is gone."""
        return is_collateral(error, have_met=self.have_met, devices_have_met=self.devices_have_met)

    @contextmanager
    def waiting(self, *, on_devices: bool = False) -> Iterator[None]:
        """Around a collective. Raises PeerLost before it where a rank is gone, and after it whatever it returned.

        `on_devices`: tensors of the ranks' devices are exchanged in it.
        """
        self.check()
        try:
            with HEARTBEAT.during(WAITING):
                yield
        except Exception as error:
            if self.is_collateral(error):
                self._listen()
            if self.loss is not None:
                raise PeerLost(self.loss) from error
            raise
        self.check()
        self.have_met = True
        self.devices_have_met |= on_devices

    def _listen(self) -> None:
        """Give whoever knows which rank is gone the time to say so: a broken connection is seen before that."""
        wait_until(lambda: self.loss is not None or self.are_leaving, self.patience_s, 0.02)


PEERS = Peers()
