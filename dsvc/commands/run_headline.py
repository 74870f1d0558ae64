"""The one metric by which a run is told from others."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from dsvc.commands.run_text import value_text, visible
from dsvc.objects.codec import Value

# What people look at first, in this order; a name counts with any prefix such as test_ or val/ too.
_KNOWN: Final = (
    "accuracy", "acc", "f1", "auc", "roc_auc", "map", "bleu", "r2", "rmse", "mae", "mse", "perplexity", "loss", "error",
)  # fmt: skip
_SETS: Final = ("test", "val", "valid", "validation", "eval", "")


def headline(metrics: Mapping[str, Value], wanted: str | None = None) -> str:
    """`name=value` of the metric `wanted`, else of one that is known to matter, else of the first; else nothing.

    One that is not a number (NaN) tells nothing, so it is taken only if it is wanted or if there is no other.
    """
    if wanted is not None and wanted in metrics:
        name: str | None = wanted
    else:
        telling = {key: value for key, value in metrics.items() if not _is_nan(value)} or metrics
        name = _known(telling) or next(iter(telling), None)
    return f"{visible(name)}={value_text(metrics[name])}" if name is not None else ""


def _is_nan(value: Value) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _known(metrics: Mapping[str, Value]) -> str | None:
    plain: dict[str, str] = {}
    for name in metrics:
        plain.setdefault(re.sub(r"[/. -]", "_", name.lower()), name)
    for known in _KNOWN:
        for part in _SETS:
            for text in (f"{part}_{known}", f"{known}_{part}") if part else (known,):
                if text in plain:
                    return plain[text]
    return None
