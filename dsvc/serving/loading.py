"""Load the model of a folder with the library that it was made with."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Final

from dsvc.errors import DsvcError
from dsvc.serving.files import CUSTOM, PREDICTOR, CannotLoadError
from dsvc.serving.predictor import Predictor
from dsvc.serving.record import ServedModel
from dsvc.serving.requirements import REQUIREMENTS, missing_requirements, told

# The frameworks of a record, and the module in `loaders` that knows them.
_LOADERS: Final = {
    "sklearn": "sklearn", "scikit-learn": "sklearn", "onnx": "onnx", "onnxruntime": "onnx", "xgboost": "xgboost",
    "lightgbm": "lightgbm", "torch": "torch", "pytorch": "torch", "torchscript": "torch", "keras": "keras",
    "tensorflow": "keras", "tf": "keras", "mlflow": "pyfunc", "pyfunc": "pyfunc", "python": "python",
}  # fmt: skip
# Names of files by which a model is known whose record names no framework, in the order in which they are looked for.
_ENDINGS: Final = (
    ("MLmodel", "pyfunc"), ("saved_model.pb", "keras"), (".keras", "keras"), (".onnx", "onnx"), (".skops", "sklearn"),
    (".joblib", "sklearn"), (".pkl", "sklearn"), (".pickle", "sklearn"), (".ubj", "xgboost"), (".lgb", "lightgbm"),
    (".pt", "torch"), (".pt2", "torch"), (".pth", "torch"), (".ts", "torch"), (".xgb", "xgboost"),
    (PREDICTOR, "python"),
)  # fmt: skip

# What of theirs runs code whenever it is loaded.
_CODE: Final[Mapping[str, tuple[str, ...]]] = {
    "sklearn": (".joblib", ".pkl", ".pickle"), "torch": (".pt", ".pt2", ".pth", ".ts"), "keras": ("saved_model.pb",),
    "pyfunc": ("MLmodel",), "python": (PREDICTOR,),
}  # fmt: skip


def load_model(served: ServedModel, *, allow_pickle: bool = False) -> Predictor:
    """Return the model of a folder, ready to be asked.

    Raises:
        UntrustedModelError: when it would run code, nobody vouches for it, and `allow_pickle` is off.
        CannotLoadError: when the library is missing, or does not take the file.
    """
    if served.has(REQUIREMENTS):
        _check_requirements(served)
    trusted = allow_pickle or served.is_trusted
    if served.has(PREDICTOR) and not served.framework:
        return _load("python", served, trusted=trusted)
    known = _LOADERS.get(served.framework) or _by_files(served.files)
    if known is None and served.has(CUSTOM):
        return _custom(served, None, trusted=trusted)
    if known is None:
        what = f"the framework {served.framework!r}" if served.framework else "the files of the model"
        raise CannotLoadError(f"{what} cannot be served", hint=f"add a {PREDICTOR} to the model")
    model = _load(known, served, trusted=trusted)
    return _custom(served, model, trusted=trusted) if served.has(CUSTOM) else model


def code_in(files: Sequence[str], framework: str) -> str:
    """Return what of a model surely runs code when it is loaded, from its names alone; an empty text if nothing does.

    A file of skops or Keras, which only may, is not among it.
    """
    if PREDICTOR in files and not framework:
        return PREDICTOR
    if CUSTOM in files:
        return CUSTOM
    known = _LOADERS.get(framework) or _by_files(files)
    endings = _CODE.get(known or "", ())
    if known == "sklearn" and any(name.endswith(".skops") for name in files):
        return ""  # that is the one that is loaded
    return next((name for name in files if name.endswith(endings)), "")


def _custom(served: ServedModel, model: Predictor | None, *, trusted: bool) -> Predictor:
    from dsvc.serving.loaders.python import load_custom

    return load_custom(served, model, trusted=trusted)


def _load(name: str, served: ServedModel, *, trusted: bool) -> Predictor:
    module = importlib.import_module(f"dsvc.serving.loaders.{name}")
    try:
        found: Predictor = module.load(served, trusted=trusted)
    except DsvcError:
        raise
    except ModuleNotFoundError as error:
        raise CannotLoadError(
            f"the model needs {error.name}, which is not installed",
            hint=f"pip install {served.fields.get('framework') or error.name} in the Python that serves it",
        ) from error
    except Exception as error:  # whatever a library raises for a file that it does not take
        reason = (str(error) or type(error).__name__).strip().splitlines()[0]
        hint = "was it made with other versions?"
        raise CannotLoadError(f"{served.name} cannot be loaded: {reason}", hint=hint) from error
    return found


def _by_files(files: Sequence[str]) -> str | None:
    for ending, loader in _ENDINGS:
        if any(name == ending or name.endswith(ending) for name in files):
            return loader
    return None


def _check_requirements(served: ServedModel) -> None:
    """Refuse a model whose requirements are not installed."""
    missing = missing_requirements(served.path(REQUIREMENTS).read_text("utf-8", "replace"), _installed)
    if missing:
        # The folder of the model may be a temporary one: its file is not named.
        raise CannotLoadError(
            f"{REQUIREMENTS} asks for what is not installed: {told(missing)}",
            hint=f"pip install {shlex.join(line for line, _ in missing)}",
        )


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
