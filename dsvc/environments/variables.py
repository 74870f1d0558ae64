"""Which environment variables are recorded, and what of them is a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from dsvc.environments.interpreter import clean

# What changes results without a trace in the packages: threads, determinism, precision, which devices.
CHOSEN = (
    "PYTHONHASHSEED", "PYTHONOPTIMIZE", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS", "MKL_CBWR", "CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES", "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TF_DETERMINISTIC_OPS", "TF_CUDNN_DETERMINISTIC", "TF_ENABLE_ONEDNN_OPTS",
    "XLA_FLAGS", "JAX_ENABLE_X64", "JAX_PLATFORMS", "KERAS_BACKEND",
)  # fmt: skip
_SECRET_PARTS = frozenset(
    {"KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASS", "PASSPHRASE", "CREDENTIAL", "CREDENTIALS", "AUTH", "PIN",
     "COOKIE", "SESSION", "DSN"}
)  # fmt: skip
_SECRET_ENDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIALS")
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
            found[clean(name)] = None if looks_secret(name) else without_login(clean(value))
    return dict(sorted(found.items()))


def looks_secret(name: str) -> bool:
    """Say whether a variable or parameter of this name is likely to hold a secret."""
    parts = re.split(r"[^A-Z0-9]+", name.upper())
    return any(part in _SECRET_PARTS or part.endswith(_SECRET_ENDS) for part in parts)


def without_login(text: str) -> str:
    """Return a text without passwords and tokens of the URLs in it."""
    text = _LOGIN.sub(r"\1", text)
    return _PARAMETER.sub(lambda m: f"{m[1]}***" if looks_secret(m[1]) else m[0], text)
