"""Which address and interface of this machine the other nodes of a job see."""

from __future__ import annotations

import socket
from collections.abc import Mapping

DEFAULT_PORT = 29500


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """Host and port of HOST:PORT, or of HOST alone; an IPv6 address stands in brackets."""
    host, separator, port = endpoint.rpartition(":")
    if not separator or endpoint.endswith("]") or not port.isdigit():
        return endpoint.strip("[]"), DEFAULT_PORT
    return host.strip("[]"), int(port)


def address_towards(host: str, port: int) -> str | None:
    """This machine's address on the route to a host; None if the name does not resolve or there is no route.

    A datagram socket is connected, which sends nothing.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as route:
            route.connect(address)
            return str(route.getsockname()[0])
    except OSError:
        return None


def interface_of(address: str) -> str | None:
    """The network interface that has this address."""
    import psutil

    for interface, addresses in psutil.net_if_addrs().items():
        if any(entry.address.split("%")[0] == address for entry in addresses):
            return str(interface)
    return None


def interface_towards(host: str, port: int) -> str | None:
    """The network interface on the route to a host; None if that cannot be told."""
    address = address_towards(host, port)
    return interface_of(address) if address is not None else None


def variables(interface: str | None, nodes: int, inherited: Mapping[str, str]) -> dict[str, str]:
    """What says which way the ranks reach each other, for gloo and, on several nodes, for NCCL. Pure.

    What somebody has set stays. On one node NCCL needs no network, and would be kept from those that it has.
    """
    if interface is None:
        return {}
    values = {"GLOO_SOCKET_IFNAME": interface}  # gloo takes the one its host name resolves to: often the wrong one
    if nodes > 1:
        values["NCCL_SOCKET_IFNAME"] = f"={interface}"  # without `=` it is the beginning of a name
    return {name: value for name, value in values.items() if name not in inherited}
