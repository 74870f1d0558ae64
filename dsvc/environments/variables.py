"""Which environment variables are recorded, and what of them is a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from dsvc.config.secret_names import is_secret_name
from dsvc.environments.interpreter import clean

# What changes results without a trace in the packages: threads, determinism, precision, which devices.
CHOSEN = (
    "PYTHONHASHSEED", "PYTHONOPTIMIZE", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS", "MKL_CBWR", "CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES", "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TF_DETERMINISTIC_OPS", "TF_CUDNN_DETERMINISTIC", "TF_ENABLE_ONEDNN_OPTS",
    "XLA_FLAGS", "JAX_ENABLE_X64", "JAX_PLATFORMS", "KERAS_BACKEND",
)  # fmt: skip
_IN_URLS = frozenset(("key", "sig", "signature", "x-amz-signature", "x-goog-signature"))
_LOGIN = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://)([^/@\s]*:[^/@\s]*|[^/@\s:]{20,})@")
_PARAMETER = re.compile(r"([?&#;][^=&\s]*=)([^&#\s]*)")


def chosen_variables(environment: Mapping[str, str], names: Iterable[str] = ()) -> dict[str, str | None]:
    """Return the variables to record: the usual ones and those that `names` (with * and ?) name, masked.

    The value of what looks like a secret is None; passwords in URLs are cut out.
    """
    patterns = (*CHOSEN, *names)
    found: dict[str, str | None] = {}
    for name, value in environment.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            found[clean(name)] = None if is_secret_name(name) else without_login(clean(value))
    return dict(sorted(found.items()))


def without_login(text: str) -> str:
    """Return a text without passwords and tokens of the URLs in it."""
    text = _LOGIN.sub(r"\1", text)
    return _PARAMETER.sub(lambda m: f"{m[1]}***" if _is_secret(m[1]) else m[0], text)


def _is_secret(parameter: str) -> bool:
    """Say whether `?NAME=` in a URL is likely to hold a secret: there `key` alone is one, and a signature too."""
    return parameter[1:-1].lower() in _IN_URLS or is_secret_name(parameter)
