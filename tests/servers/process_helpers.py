"""Helpers that list processes and ports."""

import socket

import psutil


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def descendants(process: int) -> list[psutil.Process]:
    return psutil.Process(process).children(recursive=True)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_taken(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def listening(processes: list[psutil.Process]) -> set[tuple[str, int]]:
    """Returns the addresses and ports that processes listen on."""
    numbers = {process.pid for process in processes}
    return {
        (found.laddr.ip, found.laddr.port)
        for found in psutil.net_connections("inet")
        if found.laddr and found.status == psutil.CONN_LISTEN and found.pid in numbers
    }
