"""Amounts of CPU and memory as Kubernetes writes them: `500m` or `2` cores, `512Mi` or `2G` bytes.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re

from dsvc.errors import UsageError

_CPU = re.compile(r"(\d+(?:\.\d+)?)(m?)")
_MEMORY = re.compile(r"(\d+)([KMGT]i|[kMGT])?")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}


class BadQuantityError(UsageError):
    """A text that is no amount."""


def cores_of(text: str) -> float:
    """Return an amount of CPU in cores.

    Raises:
        BadQuantityError: when it is none.
    """
    found = _CPU.fullmatch(text)
    if found is None or not float(found[1]):
        raise BadQuantityError(f"{text!r} is no amount of CPU", hint="such as 2 or 500m, which is half of one")
    return float(found[1]) / (1000 if found[2] else 1)


def bytes_of(text: str) -> int:
    """Return an amount of memory in bytes.

    Raises:
        BadQuantityError: when it is none.
    """
    found = _MEMORY.fullmatch(text)
    if found is None or not int(found[1]):
        raise BadQuantityError(f"{text!r} is no amount of memory", hint="such as 512Mi or 2G")
    return int(found[1]) * _UNITS[found[2] or ""]
