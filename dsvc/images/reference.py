"""Names of images, as people write them: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pulling-manifests, and Docker's defaults: no
host means Docker Hub, whose own images lie below `library/`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from dsvc.errors import UsageError

HUB = "docker.io"
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOST = re.compile(r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::\d{1,5})?")


class BadReferenceError(UsageError):
    """A text that can name no image."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image at a registry: its host with a port, the repository there, a tag, a digest."""

    host: str
    path: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.path}{tag}{'@' + self.digest if self.digest else ''}"

    @property
    def wanted(self) -> str:
        """What to ask the registry for: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    def at(self, digest: str) -> Reference:
        """Return the same repository at a digest, without the tag, which may move."""
        return replace(self, tag="", digest=digest)


def parse_reference(text: str) -> Reference:
    """Take a name apart.

    Raises:
        BadReferenceError: when it is none.
    """
    name, at, digest = text.partition("@")
    head, slash, rest = name.partition("/")
    if slash and (head == "localhost" or any(sign in head for sign in ".:[")):
        host, name = head, rest
    else:
        host = HUB
    path, colon, tag = name.partition(":")
    if host == HUB and "/" not in path:
        path = f"library/{path}"
    sound = _HOST.fullmatch(host) and _PATH.fullmatch(path) and len(path) <= 255
    if not sound or (colon and not _TAG.fullmatch(tag)) or (at and not _DIGEST.fullmatch(digest)):
        raise BadReferenceError(
            f"{text!r} is not a valid name for an image", hint="such as registry.example.com/team/churn:1"
        )
    return Reference(host, path, tag, digest)


def path_of(name: str) -> str:
    """Return the path of a repository for any name: lower case, other characters become hyphens."""
    parts = [re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in name.split("/")]
    return "/".join(part for part in parts if part) or "model"


def tag_of(text: str) -> str:
    """Return a tag for any text."""
    return re.sub(r"[^a-zA-Z0-9._-]+", "-", text).lstrip(".-")[:128] or "latest"
