"""Joining a Ray cluster, and its errors as one line."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from types import ModuleType

from sihwa.errors import RuntimeUnavailable, SihwaError

_REACH_SECONDS = 5.0


def import_ray() -> ModuleType:
    """Return the `ray` package with `ray.data`; refuse where it is missing."""
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise RuntimeUnavailable(
            f'--engine ray needs {error.name}, which is not installed: pip install "sihwa[ray]"'
        ) from error
    return ray


@contextlib.contextmanager
def connected(ray: ModuleType, address: str | None) -> Iterator[None]:
    """Join the cluster at an address, or start Ray on this machine; leave it at the end."""
    if ray.is_initialized():  # by the program that calls this
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or None
    if address not in (None, "auto", "local"):
        _reach(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # by default Ray reports to its makers
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        raise RuntimeUnavailable(
            f"--address {address}: {last_line(error)}. This machine must be part of the cluster: "
            "ray start --address=HOST:PORT"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Try the address first: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _REACH_SECONDS).close()
    except (OSError, OverflowError, ValueError) as error:
        raise RuntimeUnavailable(
            f"--address {address}: nothing answers there ({error}). Start a cluster with "
            "`ray start --head`, and give the HOST:PORT that it prints"
        ) from error


def as_sihwa_error(error: BaseException) -> SihwaError:
    """Return the error of a worker, or Ray's own as one line."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, SihwaError):
        return cause
    return RuntimeUnavailable(f"Ray: {last_line(cause or error)}")


def last_line(error: BaseException) -> str:
    """Return the last line of an error, or the name of its class; at most 200 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
