"""An image: its manifest and config, and how one is made on top of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from dsvc.images.blobs import Blobs
from dsvc.images.descriptor import (
    CONFIG,
    INDEXES,
    MANIFEST,
    MANIFESTS,
    BadImageError,
    Descriptor,
    UnfitImageError,
    decode_json,
    encode_json,
    read_descriptor,
)

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "ppc64le": "ppc64le"}


@dataclass(frozen=True, slots=True)
class Image:
    """An image whose blobs are in a folder of blobs, or will be: `config` and `layers` as the manifest names them.

    `settings` is the JSON of the config.
    """

    manifest: Descriptor
    config: Descriptor
    layers: tuple[Descriptor, ...]
    settings: Mapping[str, Any]
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The digest of the manifest, which is what an image is named by."""
        return self.manifest.digest

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The digests of the layers when they are not compressed."""
        return tuple(str(each) for each in self.settings.get("rootfs", {}).get("diff_ids", ()))

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """What the manifest names: the layers, then the config."""
        return (*self.layers, self.config)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer to put on top: its blob, and a line that says what made it."""

    descriptor: Descriptor
    made_by: str


def architecture_of(machine: str) -> str:
    """Return what images call an architecture that `uname -m` calls so."""
    return _ARCHITECTURES.get(machine, machine)


def read_manifest(blobs: Blobs, manifest: Descriptor) -> tuple[Descriptor, tuple[Descriptor, ...], dict[str, str]]:
    """Return config, layers and annotations of a manifest that is in a folder of blobs.

    Raises:
        BadImageError: when it is damaged. UnfitImageError: when it is none of an image.
    """
    what = f"the manifest {manifest.digest}"
    fields = decode_json(blobs.read(manifest, "the manifest"), what)
    if fields.get("schemaVersion") != 2 or "config" not in fields or not isinstance(fields.get("layers"), list):
        raise UnfitImageError(f"{what} is none of an image, or of a form before 2017")
    notes = {str(k): str(v) for k, v in (fields.get("annotations") or {}).items()}
    config = read_descriptor(fields["config"], what)
    return config, tuple(read_descriptor(each, what) for each in fields["layers"]), notes


def read_image(blobs: Blobs, manifest: Descriptor) -> Image:
    """Return the image whose manifest and config are in a folder of blobs.

    Raises:
        BadImageError: when they are damaged. UnfitImageError: when it is no image.
    """
    config, layers, notes = read_manifest(blobs, manifest)
    settings = decode_json(blobs.read(config, "the config"), f"the config {config.digest}")
    image = Image(manifest, config, layers, settings, notes)
    if len(image.diff_ids) != len(layers):
        raise BadImageError(f"the image {manifest.digest} has {len(layers)} layers and {len(image.diff_ids)} diff ids")
    return image


def choose(blobs: Blobs, index: Descriptor, architecture: str) -> Descriptor:
    """Return the manifest of an index for Linux and an architecture (as images call it); a manifest stands for itself.

    Raises:
        UnfitImageError: where there is none. BadImageError.
    """
    if index.media_type in MANIFESTS:
        return index
    if index.media_type not in INDEXES:
        raise UnfitImageError(f"{index.digest} is of the form {index.media_type!r}, and no image")
    fields = decode_json(blobs.read(index, "the index"), f"the index {index.digest}")
    return choose_entry(fields.get("manifests"), architecture, f"the index {index.digest}")


def choose_entry(entries: Any, architecture: str, what: str) -> Descriptor:
    """Return the entry of an index for an architecture; raises as `choose`."""
    if not isinstance(entries, list) or not entries:
        raise UnfitImageError(f"{what} names no image")
    offered = []
    for entry in entries:
        platform = entry.get("platform") if isinstance(entry, dict) else None
        if platform is None or (platform.get("os"), platform.get("architecture")) == ("linux", architecture):
            return read_descriptor(entry, what)
        offered.append(f"{platform.get('os')}/{platform.get('architecture')}")
    raise UnfitImageError(f"{what} has no image for linux/{architecture}; it has: {', '.join(sorted(set(offered)))}")


def put_image(
    blobs: Blobs,
    base: Image,
    layers: Sequence[Layer],
    *,
    settings: Mapping[str, Any],
    time: int,
    annotations: Mapping[str, str],
) -> Image:
    """Keep an image of the layers of `base` and more on top, and return it; equal arguments give an equal digest.

    `settings` are the fields of the config's `config` (Entrypoint ...) that take the place of the base's; `Env` and
    `Labels` are added to them. `time` is when it was made, in seconds since 1970 UTC.
    """
    made = datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    below = dict(base.settings.get("config") or {})
    env = dict(each.partition("=")[::2] for each in below.get("Env") or ())
    env |= dict(settings.get("Env") or {})
    config = {**below, **{key: value for key, value in settings.items() if key not in ("Env", "Labels")}}
    config["Env"] = [f"{name}={value}" for name, value in env.items()]
    config["Labels"] = {**(below.get("Labels") or {}), **(settings.get("Labels") or {})}
    history = list(base.settings.get("history") or [])
    if sum(1 for each in history if not each.get("empty_layer")) != len(base.layers):
        history = [{"created_by": "base"} for _ in base.layers]
    document = {
        "architecture": base.settings.get("architecture", "amd64"),
        "os": base.settings.get("os", "linux"),
        "created": made,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [*base.diff_ids, *(each.descriptor.digest for each in layers)]},
        "history": [*history, *({"created": made, "created_by": each.made_by} for each in layers)],
    }
    if base.settings.get("variant"):
        document["variant"] = base.settings["variant"]
    kept = blobs.put(encode_json(document), CONFIG)
    all_layers = (*base.layers, *(each.descriptor for each in layers))
    manifest = blobs.put(
        encode_json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": kept.fields(),
                "layers": [each.fields() for each in all_layers],
                "annotations": dict(annotations),
            }
        ),
        MANIFEST,
    )
    return Image(manifest, kept, all_layers, document, dict(annotations))
