"""Which image is deployed: one that was deployed before as it was, as long as it is to be had, else one built anew."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from dsvc.actions.build import BuildOptions, BuildResult, ModelImage, access_of, build, image_cache
from dsvc.actions.model import FoundVersion
from dsvc.deployments.deployment import Deployment
from dsvc.images.blobs import Blobs
from dsvc.images.descriptor import MANIFEST, BadImageError, Descriptor
from dsvc.images.image import Image, read_image, read_manifest
from dsvc.images.reference import parse_reference
from dsvc.images.registry import Registry, RegistryError
from dsvc.workspace import Workspace


@dataclass(frozen=True, slots=True)
class FoundImage:
    """The image to deploy, and how it was built where it was."""

    made: ModelImage
    built: BuildResult | None = None


def image_of(
    workspace: Workspace,
    found: FoundVersion,
    options: BuildOptions,
    *,
    before: Deployment | None = None,
    tell: Callable[[str], None] = lambda _line: None,
) -> FoundImage:
    """Return the image of a version: the very one that `before` had, if nothing else is said and it is to be had.

    It is taken from the cache of the repository, else from the registry where it was pushed. Where it is neither here
    nor there it is built again, and told when that makes another one: of another base, or by another dsvc.

    Raises:
        What `build` raises.
    """
    if before is not None and options.base is None and options.environment is None:
        kept = _kept(workspace, before)
        if kept is not None:
            return FoundImage(ModelImage(found, kept, image_cache(workspace)))
    model = f"{found.version.name}@{found.version.version}"
    built = build(workspace, model, options if before is None else again(options, before), tell=tell)
    if before is not None and built.image.digest != before.digest:
        tell(f"the image is built anew and is another one: {built.image.digest}, not {before.digest}")
    return FoundImage(built.made, built)


def again(options: BuildOptions, one: Deployment) -> BuildOptions:
    """Return how the image of a deployment is built once more: with the packages that it had."""
    return replace(options, environment=options.environment or one.environment or None)


def with_environment(options: BuildOptions, found: FoundVersion, before: Deployment | None) -> BuildOptions:
    """Return how an image is built: what was said about the environment of a version stays as it was."""
    if before is None:
        return options
    if before.model_id == found.version_id:
        return again(options, before)
    return replace(options, otherwise=options.otherwise or before.environment or None)


def _kept(workspace: Workspace, one: Deployment) -> Image | None:
    blobs = image_cache(workspace)
    with suppress(OSError, BadImageError):
        manifest = Descriptor(MANIFEST, one.digest, blobs.path(one.digest).stat().st_size)
        image = read_image(blobs, manifest)
        if all(map(blobs.has, image.blobs)):
            return image
    if not one.metadata.get("registry") or one.target == "systemd":  # that one needs the layers here
        return None
    with suppress(RegistryError, BadImageError):
        return _at_registry(Registry(parse_reference(one.image), access_of(workspace)), one.digest, blobs)
    return None


def _at_registry(registry: Registry, digest: str, blobs: Blobs) -> Image:
    """Return what a registry has; of its blobs the config alone comes here."""
    manifest, data = registry.manifest(digest)
    blobs.put(data, manifest.media_type)
    config, _, _ = read_manifest(blobs, manifest)
    if not blobs.has(config):
        blobs.take(registry.blob(config), config, f"{registry.reference.host}: the config")
    return read_image(blobs, manifest)
