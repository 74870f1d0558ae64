"""Free ports on 127.0.0.1 for servers that tests start."""

from __future__ import annotations

import random
import socket


def free_port(*, beside: int = 0) -> int:
    """Return a port that nobody listens on; with `beside`, the port that many numbers higher is free too."""
    for _ in range(1000):
        port = random.randrange(10_000, 32_000 - beside)  # below those that outgoing connections get
        if all(_is_free(number) for number in {port, port + beside}):
            return port
    raise RuntimeError("no free port was found")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
