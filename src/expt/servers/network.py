"""Free ports, and the names of this machine for local and remote browsers."""

import ipaddress
import socket
from contextlib import suppress

import psutil

from expt.errors import UserError

LOOPBACK = "127.0.0.1"
"""The address at which only this machine reaches a server."""

# The hosts that stand for all interfaces, each with the address that reaches it locally.
_ALL = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104  the user asks for it


def is_local(host: str) -> bool:
    """Whether a server that listens on a host can be reached only from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def local_host(host: str) -> str:
    """Returns the host by which this machine reaches a server that listens on `host`."""
    return _ALL.get(host, host)


def public_host(host: str) -> str:
    """Returns the host by which a browser, on any machine, reaches a server listening on `host`."""
    return next(iter(_addresses()), socket.gethostname()) if host in _ALL else host


def host_names(host: str) -> list[str]:
    """Returns all names and addresses by which browsers may reach a server listening on `host`."""
    if host not in _ALL:
        return [host]
    names = [socket.gethostname(), socket.getfqdn(), *_addresses()]
    return list(dict.fromkeys(names))


def url_host(host: str) -> str:
    """Returns a host as it is written in a URL: IPv6 addresses have brackets."""
    return f"[{host}]" if ":" in host else host


def choose_port(host: str, wanted: int | None, usual: int) -> int:
    """Returns a port to listen on.

    Args:
        host: The host to listen on.
        wanted: The port that the user asks for, if any.
        usual: The default port, which is replaced by a free one if it is taken.

    Raises:
        UserError: `host` is not a host of this machine, or the wanted port is not available.
    """
    # Binding any port first distinguishes a wrong host from a port that is taken.
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
    """Returns the addresses by which other machines may reach this one, those of IPv4 first."""
    found = [
        ipaddress.ip_address(address.address.partition("%")[0])
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in (socket.AF_INET, socket.AF_INET6)
    ]
    # IPv6 link-local addresses need the name of an interface, which browsers do not accept.
    reachable = [a for a in found if not (a.is_loopback or a.is_link_local)]
    return [str(address) for address in sorted(reachable, key=lambda address: address.version)]
