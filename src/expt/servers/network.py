"""Hosts and ports: what is free, and what this machine is called from here and from elsewhere."""

import ipaddress
import socket
from contextlib import suppress

import psutil

from expt.errors import UserError

_ALL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  what is asked for, and its way back


def is_local(host: str) -> bool:
    """Tells whether a host can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def local_host(host: str) -> str:
    """Returns how a server that listens on a host is reached from this machine."""
    return _ALL.get(host, host)


def public_host(host: str) -> str:
    """Returns how a browser, maybe on another machine, reaches a server that listens on a host."""
    return next(iter(_addresses()), socket.gethostname()) if host in _ALL else host


def names_of(host: str) -> list[str]:
    """Returns all that browsers may call a server that listens on a host."""
    if host not in _ALL:
        return [host]
    names = [socket.gethostname(), socket.getfqdn(), *_addresses()]
    return list(dict.fromkeys(names))


def in_address(host: str) -> str:
    """Returns a host as addresses of pages have it."""
    return f"[{host}]" if ":" in host else host


def choose_port(host: str, wanted: int | None, usual: int) -> int:
    """Returns the port that is wanted, else the usual one, or if that is taken a free one.

    Raises:
        UserError: The host is none of this machine's, or the wanted port can't be had.
    """
    free = _bind(host, 0, f"--host {host}")
    if wanted is not None:
        return _bind(host, wanted, f"port {wanted}")
    with suppress(UserError):
        return _bind(host, usual, f"port {usual}")
    return free


def _bind(host: str, port: int, given: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as listening:
            return int(listening.getsockname()[1])
    except (OSError, OverflowError) as error:
        raise UserError(f"{given} can't be listened on: {error}") from error


def _addresses() -> list[str]:
    """The addresses that other machines may reach this one by, those of IPv4 first."""
    found = [
        ipaddress.ip_address(address.address.partition("%")[0])
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in (socket.AF_INET, socket.AF_INET6)
    ]
    reachable = [a for a in found if not (a.is_loopback or a.is_link_local)]
    return [str(address) for address in sorted(reachable, key=lambda address: address.version)]
