"""The addresses of the server, as an ASGI application (https://asgi.readthedocs.io, version 3).

No framework stands between the server and this: a request costs less than the model that it asks (docs/design/0033).
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Final, Protocol
from urllib.parse import quote

from dsvc.monitoring.metrics import ServerMetrics
from dsvc.monitoring.profile import parse_profile
from dsvc.serving.asking import Asker, Batcher
from dsvc.serving.bodies import ClientLeft, Receive, Scope, parse_body, read_body, write_body
from dsvc.serving.inputs import InputReader
from dsvc.serving.predictor import Predictor, Rows
from dsvc.serving.protocols import plain, read_infer, read_predict, write_infer, write_predict
from dsvc.serving.record import ServedModel
from dsvc.serving.refusals import ModelFailed, NotFound, Refusal, TooLarge, Unauthorized, WrongMethod
from dsvc.serving.signature import Signature, numbered, parse_signature, signature_json
from dsvc.version import __version__

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
_Handler = Callable[[Scope, Receive], Awaitable[tuple[bytes, bytes]]]

_log = logging.getLogger("dsvc.serving")
_JSON: Final = b"application/json"


class PredictionLog(Protocol):
    """Where sampled requests and answers go."""

    def add(self, rows: Rows, found: Any) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What is allowed: a longest body in bytes, a token or none, rows that are joined (0: none), seconds they wait.

    `metrics_token` opens /metrics alone, which `open_metrics` lets anybody read.
    """

    max_body: int = 16 << 20
    token: str = ""
    metrics_token: str = ""
    open_metrics: bool = False
    batch: int = 0
    batch_wait: float = 0.0
    deployment: str = ""


class Application:
    """Answers requests for one model, which is served under `name` and, for clients of Dotscience, under `model`."""

    def __init__(
        self,
        served: ServedModel,
        predictor: Predictor,
        *,
        name: str,
        rules: Rules,
        metrics: ServerMetrics,
        log: PredictionLog | None = None,
    ) -> None:
        self._served, self._name, self._rules = served, name, rules
        self.predictor = self._predictor = predictor
        self.signature = signature_of(served, predictor)
        self._reader = InputReader(self.signature)
        self._asker = Asker(predictor)
        batcher = Batcher(self._asker, rules.batch, rules.batch_wait) if rules.batch else None
        self._ask = batcher.ask if batcher is not None else self._asker.ask
        self._metrics, self._log = metrics, log
        self._tokens = [rules.token.encode()] if rules.token else []
        own = [rules.metrics_token.encode()] if rules.metrics_token else []
        self._metrics_tokens = [] if rules.open_metrics else [*self._tokens, *own]
        self._headers = [
            (b"x-dsvc-commit", (served.commit or "unknown").encode()),
            (b"x-dsvc-model", f"{quote(name)}/{quote(served.version)}".encode()),
        ]
        self._routes = self._table()

    def _table(self) -> dict[str, dict[str, _Handler]]:
        version = self._served.version
        table: dict[str, dict[str, _Handler]] = {
            "/": {"GET": self._index},
            "/metrics": {"GET": self._tell_metrics},
            "/provenance": {"GET": self._provenance},
            "/v2": {"GET": self._server},
            "/v2/health/live": {"GET": _ok("live")},
            "/v2/health/ready": {"GET": _ok("ready")},
        }
        for name in dict.fromkeys((self._name, "model")):
            for each in (name, f"{name}/versions/{version}"):
                table[f"/v1/models/{each}"] = {"GET": self._state}
                table[f"/v1/models/{each}/metadata"] = {"GET": self._describe}
                table[f"/v1/models/{each}:predict"] = {"POST": self._predict}
                table[f"/v2/models/{each}"] = {"GET": self._describe}
                table[f"/v2/models/{each}/ready"] = {"GET": _ok("ready")}
                table[f"/v2/models/{each}/infer"] = {"POST": self._infer}
        return table

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self._name} {self._served.version}"

    @property
    def watched(self) -> int:
        """How many columns are watched for drift."""
        return self._metrics.monitor.watching if self._metrics.monitor is not None else 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server through its life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                self._asker.close()
                if self._log is not None:
                    self._log.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = list(self._headers)
        try:
            body, kind = await self._handler(scope)(scope, receive)
            status = 200
        except ClientLeft:
            return
        except Refusal as refusal:
            status, kind = refusal.status, _JSON
            body = json.dumps({"error": refusal.message}).encode()
            self._metrics.failed(refusal.kind)
            headers += _more_headers(refusal, self._routes.get(scope["path"], {}))
            if refusal.__cause__ is not None and isinstance(refusal, ModelFailed):
                _log.error("the model failed", exc_info=refusal.__cause__)
        except Exception:  # noqa: BLE001 - an answer in any case
            _log.exception("the server failed")
            status, kind, body = 500, _JSON, b'{"error": "the server failed; its log says why"}'
            self._metrics.failed("server")
        headers += [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _handler(self, scope: Scope) -> _Handler:
        path = scope["path"]
        methods = self._routes.get(path) or self._routes.get(path.rstrip("/") or "/")
        tokens = self._metrics_tokens if path.rstrip("/") == "/metrics" else self._tokens
        if tokens and not path.startswith("/v2/health/"):
            _check_token(scope["headers"], tokens)
        if methods is None:
            raise NotFound(self._why_not(path))
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if method not in methods:
            raise WrongMethod(f"{path} takes {' and '.join(methods)}, not {scope['method']}")
        return methods[method]

    def _why_not(self, path: str) -> str:
        for start in ("/v1/models/", "/v2/models/"):
            if path.startswith(start):
                asked, _, verb = path.removeprefix(start).partition(":")
                asked = asked.removesuffix("/infer").removesuffix("/ready")
                if verb and f"/v1/models/{asked}:predict" in self._routes:
                    return f"':{verb}' is not understood; /v1/models/{asked}:predict asks the model"
                return f"there is no model {asked!r} here; {self._name!r} is served, version {self._served.version}"
        return f"there is nothing at {path}; GET / lists the addresses"

    async def _predict(self, scope: Scope, receive: Receive) -> tuple[bytes, bytes]:
        async def work(body: dict[str, Any]) -> tuple[Any, int]:
            if self._predictor.takes_query:
                found = await self._asker.answer(body)
                return plain(found), 1
            rows, wanted, by_row = read_predict(body, self._reader)
            found = await self._ask(rows, self._output(wanted))
            self._observe(rows, found)
            return write_predict(found, by_row=by_row), rows.count

        return await self._timed("v1", scope, receive, work)

    async def _infer(self, scope: Scope, receive: Receive) -> tuple[bytes, bytes]:
        async def work(body: dict[str, Any]) -> tuple[Any, int]:
            rows, wanted = read_infer(body, self._reader)
            found: dict[str, Any] = {}
            for at, output in enumerate(dict.fromkeys(wanted or [""])):
                answer = await self._ask(rows, self._output(output))
                if not at:
                    self._observe(rows, answer)
                found |= answer if isinstance(answer, Mapping) else {output or self._predictor.outputs[0]: answer}
            return write_infer(self._name, self._served.version, body.get("id"), found), rows.count

        return await self._timed("v2", scope, receive, work)

    async def _timed(
        self,
        protocol: str,
        scope: Scope,
        receive: Receive,
        work: Callable[[dict[str, Any]], Awaitable[tuple[Any, int]]],
    ) -> tuple[bytes, bytes]:
        """Read a body, answer it, and count the request."""
        metrics = self._metrics
        began, status, rows = perf_counter(), 500, 0
        metrics.in_flight += 1
        try:
            body = parse_body(await read_body(scope, receive, self._rules.max_body))
            answer, rows = await work(body)
            written = write_body(answer)
            status = 200
            return written, _JSON
        except Refusal as refusal:
            status = refusal.status
            raise
        except ClientLeft:
            status = 499
            raise
        finally:
            metrics.in_flight -= 1
            metrics.answered(protocol, status, perf_counter() - began, rows)

    def _output(self, wanted: str) -> str:
        outputs = self._predictor.outputs
        if not wanted and outputs:
            return outputs[0]
        if wanted not in outputs:
            listed = ", ".join(outputs) or "none by this address"
            raise Refusal(f"the model has no output {wanted!r}; it has {listed}")
        return wanted

    def _observe(self, rows: Rows, found: Any) -> None:
        try:
            if self._metrics.monitor is not None:
                self._metrics.monitor.observe(rows.matrix, rows.columns, found)
            if self._log is not None:
                self._log.add(rows, found)
        except Exception:  # noqa: BLE001 - what watches must not stand in the way of an answer
            _log.exception("a request was not counted")
            self._metrics.failed("monitoring")

    async def _index(self, scope: Scope, receive: Receive) -> tuple[bytes, bytes]:  # noqa: ARG002
        listed = {path: sorted(methods) for path, methods in self._routes.items()}
        return _json({"model": self._name, "version": self._served.version, "addresses": listed})

    async def _tell_metrics(self, scope: Scope, receive: Receive) -> tuple[bytes, bytes]:  # noqa: ARG002
        accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        # Others are answered meanwhile: with many features it takes as long as many requests.
        text = self._metrics.snapshot().text
        body, kind = await asyncio.get_running_loop().run_in_executor(None, text, accept)
        return body, kind.encode()

    async def _provenance(self, scope: Scope, receive: Receive) -> tuple[bytes, bytes]:  # noqa: ARG002
        here = {"served_as": self._name, "deployment": self._rules.deployment or None}
        return _json({**self._served.provenance(), **here})

    async def _server(self, scope: Scope, receive: Receive) -> tuple[bytes, bytes]:  # noqa: ARG002
        return _json({"name": "dsvc", "version": __version__, "extensions": []})

    async def _state(self, scope: Scope, receive: Receive) -> tuple[bytes, bytes]:  # noqa: ARG002
        fine = {"error_code": "OK", "error_message": ""}
        state = {"version": self._served.version, "state": "AVAILABLE", "status": fine}
        return _json({"model_version_status": [state]})

    async def _describe(self, scope: Scope, receive: Receive) -> tuple[bytes, bytes]:  # noqa: ARG002
        found = signature_json(self.signature)
        found["outputs"] = found["outputs"] or [
            {"name": name, "datatype": "FP64", "shape": [-1]} for name in self._predictor.outputs
        ]
        return _json(
            {
                "name": self._name,
                "versions": [self._served.version],
                "platform": self._predictor.framework,
                **found,
            }
        )


def signature_of(served: ServedModel, predictor: Predictor) -> Signature:
    """Return the signature that requests are checked by.

    That is the one that was recorded; otherwise the model's own, with the names of the profile where the model knows
    none; otherwise that of the profile. One that has another number of inputs than the model is of something else, such
    as a table from which the inputs were chosen.
    """
    own = predictor.signature
    chosen = _chosen(served, own)
    return replace(chosen, tensor=own.tensor) if own is not None else chosen


def _chosen(served: ServedModel, own: Signature | None) -> Signature:
    recorded = parse_signature(served.fields.get("signature"))
    if recorded is not None and recorded.inputs and _fits(recorded, own):
        return recorded
    profiled = _profiled(served.fields.get("profile"))
    if profiled is None or not _fits(profiled, own):
        return own or Signature()
    if own is None:
        return profiled
    if [each.name for each in own.inputs] != [each.name for each in numbered(len(own.inputs))]:
        return own
    pairs = zip(profiled.inputs, own.inputs, strict=True)
    return Signature(tuple(replace(each, optional=each.optional or mine.optional) for each, mine in pairs))


def _fits(signature: Signature, own: Signature | None) -> bool:
    both_tables = own is None or (own.is_table and signature.is_table)
    return not both_tables or own is None or len(own.inputs) == len(signature.inputs)


def _profiled(profile: object) -> Signature | None:
    """Return the signature that follows from a profile; that all numbers were whole in it is no rule for others."""
    if profile is None:
        return None
    fields = parse_profile(profile).signature()
    found = parse_signature(fields)
    assert found is not None
    return Signature(tuple(each if each.type == "string" else replace(each, type="float") for each in found.inputs))


def _json(value: Any) -> tuple[bytes, bytes]:
    return json.dumps(value, ensure_ascii=False).encode(), _JSON


def _ok(name: str) -> _Handler:
    body = json.dumps({name: True}).encode()

    async def handler(scope: Scope, receive: Receive) -> tuple[bytes, bytes]:  # noqa: ARG001
        return body, _JSON

    return handler


def _check_token(headers: Any, tokens: Sequence[bytes]) -> None:
    given = next((value for name, value in headers if name == b"authorization"), b"")
    scheme, _, token = given.partition(b" ")
    good = any([hmac.compare_digest(token.strip(), each) for each in tokens])  # noqa: C419 - all of them, in equal time
    if scheme.lower() != b"bearer" or not good:  # the scheme has no case: RFC 9110, section 11.1
        raise Unauthorized("the token is missing or another one: send 'Authorization: Bearer TOKEN'")


def _more_headers(refusal: Refusal, methods: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    if isinstance(refusal, Unauthorized):
        return [(b"www-authenticate", b"Bearer")]
    if isinstance(refusal, WrongMethod):
        return [(b"allow", ", ".join(methods).encode())]
    if isinstance(refusal, TooLarge):
        return [(b"connection", b"close")]
    return []
