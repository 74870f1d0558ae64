"""The `dsvc build` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from dsvc.actions.build import BuildOptions, BuildResult, build, describe_image, push_image, write_image
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.model import Spec
from dsvc.commands.options import Json, Quiet
from dsvc.commands.run_text import size_text, visible
from dsvc.environments.restoring import Sources
from dsvc.images.reference import parse_reference

Base = Annotated[
    str | None,
    typer.Option("--base", metavar="IMAGE", help="An OCI layout, an archive or a name at a registry (build.base)."),
]
EnvironmentOf = Annotated[
    str | None,
    typer.Option("--environment", metavar="REV|ID", help="Take the packages of this, not those of the model's run."),
]
FindLinks = Annotated[
    Sequence[str], typer.Option("--find-links", metavar="DIR", help="Look for packages in this folder of wheels too.")
]


def command(
    context: Context,
    name: Spec,
    *,
    tag: Annotated[
        str | None, typer.Option("-t", "--tag", metavar="[NAME:]TAG", help="What it is called; else NAME:VERSION.")
    ] = None,
    base: Base = None,
    environment: EnvironmentOf = None,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="DIR|FILE.tar", help="Write it as an OCI layout, or as an archive."),
    ] = None,
    push: Annotated[
        str | None, typer.Option("--push", metavar="REGISTRY", help="Send it to a registry, such as host:5000/team.")
    ] = None,
    sbom: Annotated[
        bool, typer.Option("--sbom", help="Add a bill of materials of its packages (CycloneDX).")
    ] = False,
    sign: Annotated[
        bool, typer.Option("--sign", help="Add a signature by the SSH key that signs commits (user.signingKey).")
    ] = False,
    sign_key: Annotated[
        str | None, typer.Option("--sign-key", metavar="FILE", help="Sign by this PEM key, as bundles of Sigstore.")
    ] = None,
    find_links: FindLinks = (),
    no_index: Annotated[bool, typer.Option("--no-index", help="Install packages from --find-links alone.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Make an image that serves a version of a model, without a container engine.

    Its layers are the base image, the packages of the environment that the model's run recorded (each file checked
    against its hash), the serving code, and the model. The same version on the same base by the same dsvc has the same
    digest on any machine. Labels say which commit, run, environment and data it comes from.

    Without --output and --push the image stays in the cache of the repository, from where deploy takes it. A push sends
    only layers that the registry has not.
    """
    if tag is not None:
        parse_reference(tag if ":" in tag else f"model:{tag}")
    workspace = context.workspace()
    sources = Sources(tuple(str(context.directory / each) for each in find_links), no_index)
    options = BuildOptions(context.directory, base, environment, sources)
    built = build(workspace, name, options, tell=context.out.note)
    for left in built.left_out:
        context.out.warn(f"{visible(left.name)} is not in the image: {left.reason}")
    called, _, version = (tag or "").rpartition(":")
    called, version = called or built.made.repository, version or built.made.tag
    artifacts = describe_image(
        workspace, built, sbom=sbom, sign=sign, key=context.directory / sign_key if sign_key is not None else None
    )
    if output is not None:
        write_image(built, context.directory / output, name=f"{called}:{version}", artifacts=artifacts)
    pushed = None
    if push is not None:
        pushed, sent = push_image(
            workspace, built.made, push, repository=called, tag=version, artifacts=artifacts
        )
        told = f"{counted(sent.blobs, 'blob')} ({size_text(sent.size)}) sent, {sent.there} there already"
        context.out.note(f"pushed to {pushed}: {told}")
    if json:
        fields = {
            "name": called, "tag": version, **image_json(built), "output": output,
            "artifacts": [
                {"what": each.what, "digest": each.manifest.digest, "content": each.content.digest}
                for each in artifacts
            ],
            "pushed": None if pushed is None
            else {"reference": str(pushed), "blobs": sent.blobs, "bytes": sent.size, "there": sent.there},
        }  # fmt: skip
        context.out.json("dsvc.build", fields)
        return
    for layer in built.layers if not quiet else ():
        context.out.note(f"  {layer.what:<12} {layer.descriptor.hex[:12]}  {size_text(layer.descriptor.size)}")
    context.out.line(f"{called}:{version}@{built.image.digest}")


def image_json(built: BuildResult) -> dict[str, Any]:
    """An image as fields of a JSON document."""
    version = built.found.version
    return {
        "model": version.name,
        "number": version.version,
        "digest": built.image.digest,
        "config": built.image.config.digest,
        "base": {"name": built.base.name, "digest": built.base.image.digest},
        "layers": [
            {"what": each.what, "digest": each.descriptor.digest, "size": each.descriptor.size}
            for each in built.layers
        ],
        "annotations": dict(built.image.annotations),
        "left_out": [{"name": each.name, "reason": each.reason} for each in built.left_out],
    }
