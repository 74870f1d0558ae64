"""Which file of a model is the one to load, and why one is not loaded."""

from __future__ import annotations

from typing import Final

from dsvc.errors import RequestError
from dsvc.serving.record import ServedModel

CUSTOM: Final = "custom_predict.py"
PREDICTOR: Final = "predictor.py"


class CannotLoadError(RequestError):
    """A model that cannot be loaded here."""


class UntrustedModelError(RequestError):
    """A model that would run code, for which nobody vouches."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} runs code when it is loaded, and no allowed signer signed a commit that holds it or its run",
            hint="sign one (dsvc commit --sign, dsvc tag -s ... runs/KEY; sign.allowedSigners), or pass --allow-pickle"
            " (DSVC_SERVE_ALLOW_PICKLE=1 in a container)",
        )


def find_file(served: ServedModel, *endings: str) -> str:
    """Return the file of a model with one of these endings, the first ending first.

    Raises:
        CannotLoadError: when there is none.
    """
    for ending in endings:
        found = [name for name in served.files if name.endswith(ending)]
        if found:
            return min(found, key=lambda name: (name.count("/"), name))
    listed = ", ".join(served.files[:5])
    raise CannotLoadError(f"{served.name} has no file that ends in {' or '.join(endings)}; it has {listed}")
