"""The program `python -m dsvc.serving [MODEL_DIR]`, which images start. See docs/design/0033-serving.md."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence

from dsvc.errors import DsvcError, RequestError


def main(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Serve until a signal, and return the exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="dsvc: %(message)s")
    try:
        return _serve(words, environment)
    except DsvcError as error:
        _say(f"dsvc: {error.message}")
        if error.hint:
            _say(f"hint: {error.hint}")
        return error.exit_code


def _serve(words: Sequence[str], environment: Mapping[str, str]) -> int:
    try:
        from dsvc.serving.options import read_options
        from dsvc.serving.server import build_application, serve
    except ModuleNotFoundError as error:
        raise RequestError(f"serving needs {error.name}", hint="pip install 'dsvc[serve]'") from error
    options = read_options(words, environment)
    application = build_application(options)
    serve(application, options, ready=lambda address: _say(f"dsvc: serving {application.title} on {address}"))
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - it is a program of its own


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
