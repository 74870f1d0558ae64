"""Load a model and serve it until somebody ends it."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from typing import Any

import uvicorn

from dsvc.errors import RequestError
from dsvc.monitoring.metrics import ServerMetrics
from dsvc.monitoring.monitor import Monitor
from dsvc.monitoring.profile import parse_profile
from dsvc.serving.application import Application, Rules, signature_of
from dsvc.serving.loading import load_model
from dsvc.serving.options import Options
from dsvc.serving.prediction_log import PredictionLog
from dsvc.serving.predictor import Predictor
from dsvc.serving.record import ServedModel, read_model


class CannotListenError(RequestError):
    """An address on which nobody can listen, or a certificate and a key with which nobody can speak TLS."""


def build_application(options: Options) -> Application:
    """Load the model of a folder, and return the application that serves it.

    Raises what `read_model` and `load_model` raise, and CannotLogError.
    """
    served = read_model(options.model_dir)
    predictor = load_model(served, allow_pickle=options.allow_pickle)
    name = options.name or served.name
    rules = Rules(
        max_body=options.max_body,
        token=options.token,
        metrics_token=options.metrics_token,
        open_metrics=options.open_metrics,
        batch=options.batch,
        batch_wait=options.batch_wait / 1000,
        deployment=options.deployment,
    )
    metrics = _metrics(served, predictor, name, options)
    log = None
    if options.log_predictions and options.log_dir is not None:
        names = [each.name for each in signature_of(served, predictor).inputs]
        facts = {"model": name, "version": served.version, "commit": served.commit or ""}
        log = PredictionLog(options.log_dir, options.log_predictions, facts, names)
        metrics.logged = log.counts
    return Application(served, predictor, name=name, rules=rules, metrics=metrics, log=log)


def _metrics(served: ServedModel, predictor: Predictor, name: str, options: Options) -> ServerMetrics:
    labels = {"model": name, "version": served.version}
    if options.deployment:
        labels["deployment"] = options.deployment
    fields = served.fields
    info = {key: str(fields.get(key) or "") for key in ("commit", "run", "environment", "framework", "content")}
    monitor = None
    if not options.no_monitoring:
        profile = parse_profile(fields["profile"]) if fields.get("profile") is not None else None
        names = [each.name for each in signature_of(served, predictor).inputs]
        monitor = Monitor(profile, names, window=options.window, min_samples=options.min_samples)
    return ServerMetrics(labels, info, monitor)


def serve(application: Application, options: Options, *, ready: Callable[[str], None]) -> None:
    """Serve a model until TERM or INT; `ready` is told the address when it answers.

    Raises:
        CannotListenError.
    """
    listening = _listen(options.host, options.port)
    with listening:
        config = uvicorn.Config(
            application,
            http="httptools",
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, round(options.grace)),
            ssl_certfile=options.tls_cert,
            ssl_keyfile=options.tls_key,
        )
        _load(config)
        scheme = "http" if options.tls_cert is None else "https"
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        server = _Server(config, lambda: ready(f"{scheme}://{shown}:{port}"))
        server.run(sockets=[listening])


def _load(config: uvicorn.Config) -> None:
    """Read the certificate and the key, if there are any."""
    try:
        config.load()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        files = f"the certificate {config.ssl_certfile} and the key {config.ssl_keyfile}"
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise CannotListenError(
            f"{files} cannot be used: {reason}",
            hint="both are PEM; the certificate, with those above it, goes to --tls-cert, its private key to --tls-key",
        ) from error


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without the protocol asyncio does not know it for TCP, leaves TCP_NODELAY off, and each answer waits 40 ms.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(2048)
    except (OSError, UnicodeError) as error:
        found.close()
        reason = getattr(error, "strerror", None) or str(error)
        hint = "--port 0 takes a free one"
        raise CannotListenError(f"nobody can listen on {host}:{port}: {reason}", hint=hint) from error
    return found


class _Server(uvicorn.Server):
    """Says when it is ready, and ends without raising the signal once more."""

    def __init__(self, config: Any, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer until a signal; a second INT ends what is under way."""
        # Both are raised once more when all has ended; that is how it should end, and no failure.
        before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            super().run(sockets)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
