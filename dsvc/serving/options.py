"""The options of the program, from the command line and from variables of the environment."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from dsvc.errors import UsageError

PREFIX = "DSVC_SERVE_"


@dataclass(frozen=True, slots=True)
class Options:
    """How a model is served; `max_body` in bytes, `grace` in seconds, `batch_wait` in milliseconds."""

    model_dir: Path
    host: str = "127.0.0.1"
    port: int = 8080
    name: str = ""
    deployment: str = ""
    allow_pickle: bool = False
    token: str = ""
    metrics_token: str = ""
    open_metrics: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    max_body: int = 16 << 20
    grace: float = 20.0
    no_monitoring: bool = False
    window: int = 1000
    min_samples: int = 200
    batch: int = 0
    batch_wait: float = 0.0
    log_predictions: float = 0.0
    log_dir: Path | None = None


def read_options(words: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Return the options; what is typed wins over `DSVC_SERVE_...`.

    Raises:
        UsageError: for what makes no sense.
    """
    parser = _Parser(prog="python -m dsvc.serving", description="Serve a model that lies in a folder.")
    parser.add_argument("model_dir", nargs="?", type=Path, help="the folder; /model if no other")
    parser.add_argument("--host", help="the address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="the port; 0 takes a free one (8080)")
    parser.add_argument("--name", help="as what it is served")
    parser.add_argument("--deployment", help="a name that stands in metrics and in /provenance")
    parser.add_argument("--allow-pickle", action="store_true", default=None, help="run code that comes with the model")
    parser.add_argument("--token-file", type=Path, help="a file with the bearer token that requests must bring")
    parser.add_argument("--metrics-token-file", type=Path, help="a file with a token that opens /metrics alone")
    parser.add_argument("--open-metrics", action="store_true", default=None, help="/metrics needs no token")
    parser.add_argument("--tls-cert", type=Path, help="a certificate in PEM, to speak TLS")
    parser.add_argument("--tls-key", type=Path, help="its key")
    parser.add_argument("--max-body", type=int, help="longest body of a request in bytes")
    parser.add_argument("--grace", type=float, help="seconds that requests may take to end after TERM")
    parser.add_argument("--no-monitoring", action="store_true", default=None, help="do not watch inputs and outputs")
    parser.add_argument("--window", type=int, help="rows in the window that is compared (1000)")
    parser.add_argument("--min-samples", type=int, help="rows below which drift is not told (200)")
    parser.add_argument("--batch", type=int, help="join up to so many rows of several requests in one call")
    parser.add_argument("--batch-wait", type=float, help="milliseconds to wait for more rows")
    parser.add_argument("--log-predictions", type=float, metavar="SHARE", help="write this share of requests")
    parser.add_argument("--log-dir", type=Path, help="the folder for them")
    given = {name: value for name, value in vars(parser.parse_args(words)).items() if value is not None}
    for action in parser._actions:
        text = environment.get(PREFIX + action.dest.upper())
        if action.dest in given or not text:
            continue
        given[action.dest] = _from_variable(PREFIX + action.dest.upper(), text, action)
    for name in ("token", "metrics_token"):
        token_file = given.pop(f"{name}_file", None)
        own = environment.get(PREFIX + name.upper(), "").strip()
        given[name] = own if token_file is None else read_token(token_file)
    return checked(given.pop("model_dir", Path("/model")), **given)


class _Parser(argparse.ArgumentParser):
    """One whose complaints are errors of dsvc's."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint="python -m dsvc.serving --help")


def _from_variable(name: str, text: str, action: argparse.Action) -> object:
    if action.nargs == 0:
        if text.lower() not in ("0", "1", "true", "false"):
            raise UsageError(f"{name} is {text!r}, and takes 0 or 1")
        return text.lower() in ("1", "true")
    make = action.type if callable(action.type) else str
    try:
        return make(text)
    except ValueError as error:
        raise UsageError(f"{name} has the value {text!r}, which makes no sense") from error


def read_token(path: Path) -> str:
    """Return the token in a file; raises UsageError where there is none."""
    try:
        found = path.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"the token in {path} cannot be read: {error}") from error
    if not found:
        raise UsageError(f"the token in {path} is empty")
    return found


def checked(model_dir: Path, **given: Any) -> Options:
    """Return options that make sense; raises UsageError for others."""
    options = Options(model_dir, **given)
    if not 0 <= options.port <= 65535:
        raise UsageError(f"{options.port} is no port")
    if (options.tls_cert is None) != (options.tls_key is None):
        raise UsageError("--tls-cert and --tls-key go together")
    for path in filter(None, (options.tls_cert, options.tls_key)):
        if not path.is_file():
            raise UsageError(f"{path} is no file")
    if options.open_metrics and options.metrics_token:
        raise UsageError("--open-metrics leaves nothing for --metrics-token-file to keep")
    if options.max_body < 1 or options.grace < 0 or options.batch < 0 or options.batch_wait < 0:
        raise UsageError("sizes and times are not negative")
    if options.window < 1 or not 1 <= options.min_samples <= options.window:
        raise UsageError(f"--min-samples is from 1 to --window, which is {options.window}")
    if not 0 <= options.log_predictions <= 1:
        raise UsageError("--log-predictions is a share from 0 to 1")
    if options.log_predictions and options.log_dir is None:
        raise UsageError("--log-predictions needs --log-dir")
    return options
