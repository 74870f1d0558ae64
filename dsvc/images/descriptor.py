"""Descriptors and media types of the OCI image specification 1.1, and the older ones of Docker that stand for the same.

https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md, media-types.md
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dsvc.errors import IntegrityError, RequestError

INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
EMPTY: Final = "application/vnd.oci.empty.v1+json"
DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar"

INDEXES: Final = (INDEX, DOCKER_INDEX)
MANIFESTS: Final = (MANIFEST, DOCKER_MANIFEST)
MAX_JSON: Final = 4 << 20  # bytes of a manifest or config; the specification asks registries for so many

# What an image by Docker calls its layers, and what an OCI image calls them.
_AS_OCI: Final = {DOCKER_LAYER: LAYER, f"{DOCKER_LAYER}.gzip": f"{LAYER}+gzip", f"{DOCKER_LAYER}.zstd": f"{LAYER}+zstd"}
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


class BadImageError(IntegrityError):
    """An image is damaged, or not of the documented form."""


class UnfitImageError(RequestError):
    """An image is sound and cannot be used for this."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What is at a digest (`sha256:` and 64 hex digits): media type, bytes, annotations."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def hex(self) -> str:
        """The digits of the digest."""
        return self.digest.partition(":")[2]

    def fields(self) -> dict[str, Any]:
        """Return it as it stands in a manifest."""
        found: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.annotations:
            found["annotations"] = dict(sorted(self.annotations.items()))
        return found


def read_descriptor(value: Any, what: str) -> Descriptor:
    """Return what a JSON value describes; `what` names it in errors.

    Raises:
        BadImageError: when it is no descriptor of content by SHA-256.
    """
    try:
        media_type, digest, size = str(value["mediaType"]), str(value["digest"]), int(value["size"])
        notes = {str(k): str(v) for k, v in (value.get("annotations") or {}).items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadImageError(f"{what} has an entry that is no descriptor") from error
    if not _DIGEST.fullmatch(digest) or size < 0:
        raise BadImageError(f"{what} names the digest {digest!r}, which is no SHA-256")
    return Descriptor(_AS_OCI.get(media_type, media_type), digest, size, notes)


def check_digest(text: str) -> str:
    """Return a digest when it is one.

    Raises:
        BadImageError: otherwise.
    """
    if not _DIGEST.fullmatch(text):
        raise BadImageError(f"{text!r} is no digest by SHA-256")
    return text


def digest_of(data: bytes) -> str:
    """Return the digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def encode_json(value: Any) -> bytes:
    """Return a value as the one JSON text that dsvc writes for it: sorted keys, no blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def decode_json(data: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object in bytes.

    Raises:
        BadImageError: when there is none.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadImageError(f"{what} is no JSON") from error
    if not isinstance(value, dict):
        raise BadImageError(f"{what} is no JSON object")
    return value
