"""Ask a container engine for the image of the container around us, where its socket was handed in.

No file in a container names its image; but build machines and development containers often have the engine's socket.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException

_SOCKETS = ("var/run/docker.sock", "run/podman/podman.sock")
_OURS = re.compile(r"/(?:overlay-)?containers/([0-9a-f]{64})/")  # where the engine keeps our /etc/hosts
_WAIT = 2  # seconds for an engine that does not answer


class _Connection(HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_WAIT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_WAIT)
        self.sock.connect(self._path)


def asked_image(mounts: str, variables: Mapping[str, str], root: str) -> tuple[str, str]:
    """Return the image of our container and the digest that a registry knows it by; what is not known is empty.

    `mounts` is the text of /proc/self/mountinfo.
    """
    ours = _OURS.search(mounts)
    if ours is None:
        return "", ""
    said = variables.get("DOCKER_HOST", "")
    places = [os.path.join(root, name) for name in _SOCKETS]
    if said.startswith("unix://"):
        places.insert(0, said.removeprefix("unix://"))
    for place in places:
        if not os.path.exists(place):
            continue
        container = _get(place, f"/containers/{ours[1]}/json")
        config = container.get("Config")
        name = str(config.get("Image", "")) if isinstance(config, dict) else ""
        if not name:
            continue
        # By the id: the name may have been given to another image since.
        digests = _get(place, f"/images/{container.get('Image')}/json").get("RepoDigests")
        return name, _digest(name, digests if isinstance(digests, list) else [])
    return "", ""


def _digest(name: str, digests: list[object]) -> str:
    """Return the digest under the name that the container was started by, else any."""
    known = dict(str(digest).rpartition("@")[::2] for digest in digests)
    bare = name.partition("@")[0]
    head, colon, tag = bare.rpartition(":")
    repository = head if colon and "/" not in tag else bare
    return known.get(repository) or next(iter(known.values()), "")


def _get(place: str, path: str) -> dict[str, object]:
    connection = _Connection(place)
    try:
        connection.request("GET", path)
        found = json.loads(connection.getresponse().read())
    except (OSError, HTTPException, ValueError):
        return {}
    finally:
        connection.close()
    return found if isinstance(found, dict) else {}
