"""A deployment as a value, and its one encoding. See docs/formats/deployment.md.

Each `dsvc deploy` makes a new one that names the one before it, and moves the ref `deployments/NAME` to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, cast, get_args

from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError, Value
from dsvc.objects.fields import Fields
from dsvc.objects.ids import Kind, ObjectId

WHAT: Final = "deployment"
Target = Literal["manifest", "k8s", "kserve", "compose", "systemd", "docker"]
TARGETS: Final = get_args(Target)
_ALWAYS: Final = frozenset(
    {"what", "name", "number", "target", "model", "version", "model_id", "image", "digest", "user", "time", "zone"}
)


@dataclass(frozen=True, slots=True)
class Spec:
    """How a model is served. What is empty or 0 is left to the place.

    `replicas` is how many there are, `most` how many there may be under load (0: no more). `env` are variables of the
    server; None stands for a value that is kept where it runs, in the secret or file `NAME-env`. `cpu` (cores, `500m`
    or `2`) and `memory` (`512Mi`) are what each gets, `gpu` a number of them. `host` is the name under which it is
    reached from outside, `port` the port on the host where there is one, `namespace` is that of Kubernetes.
    """

    replicas: int = 1
    most: int = 0
    env: Mapping[str, str | None] = field(default_factory=dict)
    cpu: str = ""
    memory: str = ""
    gpu: int = 0
    host: str = ""
    port: int = 8080
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Which version of a model is served where, by which image, since when.

    `model_id` is the id of the version's object. `image` is the name by which the place fetches it, `digest` that of
    its manifest, `place` the folder, context or host. `time` is in microseconds since 1970 UTC, `zone` minutes east of
    it. `labels` are those of the image. `previous` is the deployment whose place this one took, `restores` the older
    one that it brought back.
    """

    name: str
    number: int
    target: Target
    model: str
    version: int
    model_id: ObjectId
    image: str
    digest: str
    user: str
    time: int
    zone: int
    place: str = ""
    spec: Spec = field(default_factory=Spec)
    labels: Mapping[str, str] = field(default_factory=dict)
    previous: ObjectId | None = None
    restores: ObjectId | None = None
    metadata: Mapping[str, Value] = field(default_factory=dict)

    @property
    def commit(self) -> str:
        """The commit of the model in hex, empty where it is not known."""
        return self.labels.get("io.dsvc.commit", "")

    @property
    def environment(self) -> str:
        """The environment whose packages its image has, in hex; empty where it is not known."""
        return self.labels.get("io.dsvc.environment", "")

    @property
    def canary_of(self) -> str:
        """The deployment beside which this one gets a share of the requests, empty where there is none."""
        told = self.metadata.get("canary")
        return str(told.get("of") or "") if isinstance(told, dict) else ""


def encode_deployment(deployment: Deployment) -> bytes:
    """Return the canonical bytes of a deployment.

    Raises:
        UnsupportedValueError: when it is too large for one value, or holds what cannot be stored.
    """
    fields: dict[str, object] = {
        "what": WHAT,
        "name": deployment.name,
        "number": deployment.number,
        "target": deployment.target,
        "place": deployment.place,
        "model": deployment.model,
        "version": deployment.version,
        "model_id": deployment.model_id,
        "image": deployment.image,
        "digest": deployment.digest,
        "spec": encode_spec(deployment.spec),
        "labels": deployment.labels,
        "user": deployment.user,
        "time": deployment.time,
        "zone": deployment.zone,
        "previous": deployment.previous,
        "restores": deployment.restores,
        "metadata": deployment.metadata,
        "refs": _refs(deployment),
    }
    empty: tuple[object, ...] = (None, (), {}, "")
    return codec.encode({name: v for name, v in fields.items() if name in _ALWAYS or v not in empty})


def decode_deployment(payload: bytes) -> Deployment:
    """Return the deployment that `payload` encodes.

    Raises:
        BadEncodingError: when the bytes are not one's.
    """
    fields = Fields(payload, WHAT)
    if fields.values.get("what") != WHAT:
        raise BadEncodingError("an object is not a deployment")
    target = fields.text("target")
    if target not in TARGETS:
        raise BadEncodingError(f"a deployment has the unknown target {target!r}")
    labels = fields.map("labels")
    if not all(isinstance(value, str) for value in labels.values()):
        raise BadEncodingError("a deployment has labels that are no texts")
    deployment = Deployment(
        name=fields.text("name"),
        number=fields.integer("number"),
        target=cast("Target", target),
        model=fields.text("model"),
        version=fields.integer("version"),
        model_id=fields.id("model_id"),
        image=fields.text("image"),
        digest=fields.text("digest"),
        user=fields.text("user"),
        time=fields.integer("time"),
        zone=fields.integer("zone"),
        place=fields.optional_text("place"),
        spec=decode_spec(fields.map("spec")),
        labels=cast("dict[str, str]", labels),
        previous=fields.optional_id("previous"),
        restores=fields.optional_id("restores"),
        metadata=fields.map("metadata"),
    )
    fields.check(encode_deployment(deployment))
    return deployment


def encode_spec(spec: Spec) -> dict[str, object]:
    """Return what of a spec is not as usual."""
    usual = Spec()
    names = ("replicas", "most", "cpu", "memory", "gpu", "host", "port", "namespace")
    told: dict[str, object] = {n: getattr(spec, n) for n in names if getattr(spec, n) != getattr(usual, n)}
    return told | ({"env": dict(spec.env)} if spec.env else {})


def decode_spec(values: Mapping[str, Value]) -> Spec:
    """Return the spec of which these are the fields; raises BadEncodingError."""
    env = values.get("env", {})
    numbers = {name: values.get(name, getattr(Spec(), name)) for name in ("replicas", "most", "gpu", "port")}
    texts = {name: values.get(name, "") for name in ("cpu", "memory", "host", "namespace")}
    sound = isinstance(env, dict) and all(value is None or isinstance(value, str) for value in env.values())
    sound = sound and all(type(value) is int for value in numbers.values())
    if not sound or not all(isinstance(value, str) for value in texts.values()):
        raise BadEncodingError("a deployment has no valid field 'spec'")
    return Spec(env=env, **numbers, **texts)  # type: ignore[arg-type]


def _refs(deployment: Deployment) -> tuple[tuple[int, bytes], ...]:
    """Return the objects that are kept with a deployment: the model's version and the deployments before."""
    kept = {deployment.model_id, deployment.previous, deployment.restores} - {None}
    return tuple(sorted((int(Kind.RUN), bytes(one)) for one in kept if one is not None))
