"""What is said about an image by others than itself: a bill of materials, signatures, each a manifest that names it.

https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md#guidelines-for-artifact-usage, and for registries
that do not list them https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#referrers-tag-schema
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

from dsvc.images.blobs import Blobs
from dsvc.images.descriptor import EMPTY, INDEX, MANIFEST, Descriptor, decode_json, encode_json
from dsvc.images.image import Image
from dsvc.images.registry import NotInRegistryError, Registry
from dsvc.images.sigstore import BUNDLE

SBOM: Final = "application/vnd.cyclonedx+json"
SIGNATURE: Final = "application/vnd.dsvc.image.signature.ssh"
What = Literal["sbom", "signature", "bundle", "attestation"]
_KINDS: Final = {"sbom": SBOM, "signature": SIGNATURE, "bundle": BUNDLE, "attestation": BUNDLE}
NAMESPACE: Final = "dsvc-image"  # of signatures: of the bytes of the image's manifest


@dataclass(frozen=True, slots=True)
class Artifact:
    """Something that is said about an image: its kind, its manifest, the blobs of that."""

    what: What
    kind: str
    manifest: Descriptor
    content: Descriptor
    config: Descriptor

    def entry(self) -> dict[str, Any]:
        """Return how an index names it."""
        return {**self.manifest.fields(), "artifactType": self.kind}


def put_artifact(blobs: Blobs, image: Image, what: What, data: bytes) -> Artifact:
    """Keep what is said about an image; the same data give the same digests."""
    kind = _KINDS[what]
    config, content = blobs.put(b"{}", EMPTY), blobs.put(data, kind)
    fields = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": kind,
        "config": config.fields(),
        "layers": [content.fields()],
        "subject": image.manifest.fields(),
    }
    return Artifact(what, kind, blobs.put(encode_json(fields), MANIFEST), content, config)


def send_artifact(artifact: Artifact, image: Image, blobs: Blobs, registry: Registry) -> None:
    """Send it to where the image is; also list it under the tag that stands for a list of what names an image.

    Raises:
        RegistryError: when it was refused.
    """
    for blob in (artifact.config, artifact.content):
        if not registry.has_blob(blob.digest):
            registry.send_blob(blob, partial(blobs.open, blob.digest))
    data = blobs.read(artifact.manifest, "the manifest")
    registry.send_manifest(data, MANIFEST, artifact.manifest.digest)
    tag = image.digest.replace(":", "-")
    try:
        entries = decode_json(registry.manifest(tag)[1], "the list of artifacts").get("manifests") or []
    except NotInRegistryError:
        entries = []
    if all(each.get("digest") != artifact.manifest.digest for each in entries):
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*entries, artifact.entry()]}
        registry.send_manifest(encode_json(index), INDEX, tag)
