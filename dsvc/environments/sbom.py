"""An environment as a bill of materials: CycloneDX 1.6 in JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from dsvc.environments.archives import Archive
from dsvc.environments.environment import CondaPackage, Distribution, Environment, SystemPackage

_ALGORITHMS = {
    "md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512",
    "sha3_256": "SHA3-256", "sha3_512": "SHA3-512", "blake2b": "BLAKE2b-512",
}  # fmt: skip
_LENGTHS = {"MD5": 32, "SHA-1": 40, "SHA-256": 64, "SHA-384": 96, "SHA-512": 128}
_LICENSE = re.compile(r"[A-Za-z0-9 .+()-]+")


def sbom_text(
    environment: Environment, digits: str, *, version: str, archives: Mapping[str, tuple[Archive, ...]] | None = None
) -> str:
    """Return a bill of materials; `digits` is the environment's id, `version` that of dsvc.

    It holds no time, and its serial number follows from the environment: equal environments give equal bytes.
    """
    named: dict[str, str] = {}
    components = [_python(environment), _system(environment)]
    for one in environment.distributions:
        component = _distribution(one, (archives or {}).get(one.name, ()))
        named.setdefault(one.name, str(component["bom-ref"]))
        components.append(component)
    components += [_conda(one) for one in environment.conda]
    components += [_debian(one, environment.system.release) for one in environment.system.packages]
    unique = {str(component["bom-ref"]): component for component in components}
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{_uuid(digits)}",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "dsvc", "version": version}]},
            "component": {"type": "platform", "name": "environment", "version": digits, "bom-ref": "environment"},
            "properties": [{"name": "dsvc:environment", "value": digits}],
        },
        "components": list(unique.values()),
        "dependencies": list(_dependencies(environment, named, list(unique))),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _uuid(digits: str) -> str:
    """Return a UUID of version 8, whose bits may come from anywhere: from an id's first ones."""
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def _dependencies(environment: Environment, named: Mapping[str, str], refs: list[str]) -> Iterator[dict[str, object]]:
    yield {"ref": "environment", "dependsOn": refs}
    for one in environment.distributions:
        needed = [named[name] for name in one.requires if name in named and named[name] != named[one.name]]
        if needed and one == environment.distribution(one.name):
            yield {"ref": named[one.name], "dependsOn": list(dict.fromkeys(needed))}


def _python(environment: Environment) -> dict[str, object]:
    python = environment.python
    ref = f"pkg:generic/{quote(python.implementation)}@{quote(python.version)}"
    return {
        "type": "platform",
        "bom-ref": ref,
        "name": python.implementation,
        "version": python.version,
        "purl": ref,
        "properties": [
            {"name": "dsvc:build", "value": python.build},
            {"name": "dsvc:tags", "value": "-".join(python.tags)},
        ],
    }


def _system(environment: Environment) -> dict[str, object]:
    name, _, version = environment.system.release.partition(" ")
    machine = environment.machine
    facts = {
        "architecture": environment.system.architecture,
        "libc": environment.system.libc,
        "kernel": machine.kernel,
        "cpu": machine.cpu,
        "gpus": ", ".join(machine.gpus),
        "driver": machine.driver,
    }
    return {
        "type": "operating-system",
        "bom-ref": "operating-system",
        "name": name or environment.system.name,
        **({"version": version} if version else {}),
        "properties": [{"name": f"dsvc:{key}", "value": value} for key, value in facts.items() if value],
    }


def _distribution(one: Distribution, archives: tuple[Archive, ...]) -> dict[str, object]:
    source = one.source
    qualifiers = ""
    if source is not None and source.commit and (source.remote or source.kind == "vcs"):
        address = f"{source.vcs}+{source.remote or source.url}@{source.commit}"
        qualifiers = f"?vcs_url={quote(address, safe='/:')}"
    purl = f"pkg:pypi/{quote(one.name)}@{quote(one.version)}{qualifiers}"
    hashes = dict(source.hashes) if source is not None else dict(archives[0].hashes) if len(archives) == 1 else {}
    properties = {
        "contents": one.contents.hex() if one.contents is not None else "",
        "installer": one.installer,
        "source": source.kind if source is not None else "",
        "path": source.path if source is not None else "",
        "changed": "true" if source is not None and source.changed else "",
    }
    component: dict[str, object] = {
        "type": "library",
        "bom-ref": purl,
        "name": one.name,
        "version": one.version,
        "purl": purl,
    }
    if hashes and (listed := _hashes(hashes)):
        component["hashes"] = listed
    if one.license and _LICENSE.fullmatch(one.license):
        component["licenses"] = [{"expression": one.license}]
    if listed := [{"name": f"dsvc:{key}", "value": value} for key, value in properties.items() if value]:
        component["properties"] = listed
    return component


def _hashes(hashes: Mapping[str, str]) -> list[dict[str, str]]:
    found = []
    for kind, digest in hashes.items():
        algorithm = _ALGORITHMS.get(kind)
        if algorithm is not None and len(digest) == _LENGTHS.get(algorithm, len(digest)):
            found.append({"alg": algorithm, "content": digest})
    return found


def _conda(one: CondaPackage) -> dict[str, object]:
    qualifiers = {"build": one.build, "channel": one.channel, "subdir": one.subdir}
    listed = "&".join(f"{key}={quote(value, safe='/:')}" for key, value in qualifiers.items() if value)
    purl = f"pkg:conda/{quote(one.name)}@{quote(one.version)}{'?' + listed if listed else ''}"
    component: dict[str, object] = {
        "type": "library", "bom-ref": purl, "name": one.name, "version": one.version, "purl": purl,
    }  # fmt: skip
    if listed_hashes := _hashes(one.hashes):
        component["hashes"] = listed_hashes
    return component


def _debian(one: SystemPackage, release: str) -> dict[str, object]:
    distribution, _, version = release.partition(" ")
    distribution = distribution or "debian"
    qualifiers = {"arch": one.architecture, "distro": f"{distribution}-{version}" if version else ""}
    listed = "&".join(f"{key}={quote(value)}" for key, value in qualifiers.items() if value)
    purl = f"pkg:deb/{quote(distribution)}/{quote(one.name)}@{quote(one.version)}{'?' + listed if listed else ''}"
    return {"type": "library", "bom-ref": purl, "name": one.name, "version": one.version, "purl": purl}
