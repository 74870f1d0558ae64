"""Notes what libraries read and write in native code, which no audit event of Python shows.

A finder in front of the others in `sys.meta_path` (`dsvc_observer.Waiting`) waits for these libraries, and only then is
this module loaded. The answer is that of the other finders; when such a library has been imported, the functions of it
that take a path are wrapped, so that they note it before they do what they did. Like `dsvc_observer` it keeps to what
Python 3.8 knows.
"""

from __future__ import annotations

import os
import sys

MYPY = False
if MYPY:  # see dsvc_observer
    from collections.abc import Callable, Iterator
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_WRITTEN, _BOTH, _READ = b"\2", b"\3", b"\5"  # kinds of notes, as in dsvc_observer
_MOST = 100_000  # files of one folder or pattern


class Natives:
    """What finds the libraries, and what it does to them.

    `note` takes a kind and a path; `library` takes the name of a library that was imported, and whether it is watched.
    `finder` is the one that asks.
    """

    def __init__(self, note: Callable[[bytes, Any], None], library: Callable[[str, bool], None], finder: Any) -> None:
        self._note, self._library, self._finder = note, library, finder
        self._done: set[int] = set()  # of the modules that are wrapped
        self._ways: dict[str, Callable[[Any], None]] = {
            "pyarrow": self._pyarrow,
            "pyarrow.csv": self._pyarrow_text,
            "pyarrow.json": self._pyarrow_text,
            "pyarrow.dataset": self._pyarrow_dataset,
            "pyarrow.feather": self._pyarrow_feather,
            "pyarrow.orc": self._pyarrow_orc,
            "pyarrow.parquet.core": self._pyarrow_parquet,
            "polars": self._polars,
            "h5py": self._h5py,
            "safetensors": self._safetensors,
            "torch": self._torch,
            "cv2": self._cv2,
            "xgboost": self._xgboost,
            "onnxruntime": self._onnxruntime,
        }

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return what the other finders say of a library; its loader tells of the import."""
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if find is not None and finder is not self._finder:
                spec: ModuleSpec | None = find(name, path, target)
                if spec is not None:
                    self._attend(name, spec.loader)
                    return spec
        return None

    def _attend(self, name: str, loader: Any) -> None:
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self.take(name, module)

        try:
            loader.exec_module = exec_module
        except Exception:  # noqa: BLE001, S110 - a loader that takes no attributes: the library is not watched
            pass

    def take(self, name: str, module: ModuleType) -> None:
        """Wrap a library that was imported; one that is not known is only told of."""
        if id(module) in self._done:
            return
        self._done.add(id(module))
        try:
            if name in self._ways:
                self._ways[name](module)
            if "." not in name:
                self._library(name, name in self._ways)
        except Exception:  # noqa: BLE001, S110 - another version of the library: it works as without
            pass

    # What is wrapped in each of them.

    def _pyarrow(self, module: Any) -> None:
        self._functions(module, ("input_stream", "create_memory_map"), _READ)
        self._functions(module, ("memory_map",), _by_mode, name="path")
        self._functions(module, ("output_stream",), _WRITTEN)
        module.OSFile = self._class(module.OSFile, _by_mode)

    def _pyarrow_text(self, module: Any) -> None:
        names = [name for name in dir(module) if name.startswith(("read_", "open_"))]
        self._functions(module, names, _READ, name="input_file")
        self._functions(module, ("write_csv",), _WRITTEN, place=1, name="output_file")
        if hasattr(module, "CSVWriter"):
            module.CSVWriter = self._class(module.CSVWriter, _WRITTEN)

    def _pyarrow_dataset(self, module: Any) -> None:
        def files(found: Any, *_args: Any, **_kwargs: Any) -> None:
            for part in getattr(found, "children", [found]):
                self._tell(_READ, getattr(part, "files", ()))

        for name in ("dataset", "parquet_dataset"):
            setattr(module, name, self._after(getattr(module, name), files))

    def _pyarrow_feather(self, module: Any) -> None:
        self._functions(module, ("read_feather", "read_table"), _READ)
        self._functions(module, ("write_feather",), _WRITTEN, place=1, name="dest")

    def _pyarrow_orc(self, module: Any) -> None:
        self._functions(module, ("read_table",), _READ)
        self._functions(module, ("write_table",), _WRITTEN, place=1, name="where")
        self._methods(module.ORCFile, ("__init__",), _READ)
        self._methods(module.ORCWriter, ("__init__",), _WRITTEN)

    def _pyarrow_parquet(self, module: Any) -> None:
        def files(_nothing: Any, dataset: Any, *_args: Any, **_kwargs: Any) -> None:
            self._tell(_READ, dataset.files)

        module.ParquetDataset.__init__ = self._after(module.ParquetDataset.__init__, files)
        self._functions(module, ("read_metadata", "read_schema"), _READ, name="where")
        self._methods(module.ParquetFile, ("__init__",), _READ)
        self._methods(module.ParquetWriter, ("__init__",), _WRITTEN)

    def _polars(self, module: Any) -> None:
        names = [name for name in dir(module) if name.startswith(("read_", "scan_"))]
        self._functions(module, names, _READ, name="source")
        for owner, begin in ((module.DataFrame, "write_"), (module.LazyFrame, "sink_")):
            self._methods(owner, [name for name in vars(owner) if name.startswith(begin)], _WRITTEN)

    def _h5py(self, module: Any) -> None:
        self._methods(module.File, ("__init__",), _by_mode)

    def _safetensors(self, module: Any) -> None:
        module.safe_open = self._class(module.safe_open, _READ)
        self._functions(module, ("serialize_file",), _WRITTEN, place=1, name="filename")

    def _torch(self, module: Any) -> None:
        self._functions(module, ("from_file",), _BOTH, name="filename")
        self._functions(module, ("save",), _WRITTEN, place=1, name="f")
        self._functions(module.jit, ("load",), _READ, name="f")
        self._functions(module.jit, ("save",), _WRITTEN, place=1, name="f")
        self._methods(module.jit.ScriptModule, ("save",), _WRITTEN)
        self._methods(module.jit.RecursiveScriptModule, ("save",), _WRITTEN)

    def _cv2(self, module: Any) -> None:
        reading = ("imread", "imreadmulti", "imreadanimation", "imcount")
        self._functions(module, reading, _READ, name="filename")
        self._functions(module, ("imwrite", "imwritemulti", "imwriteanimation"), _WRITTEN, name="filename")
        for name in ("VideoCapture", "CascadeClassifier"):
            if hasattr(module, name):
                setattr(module, name, self._class(getattr(module, name), _READ))
        if hasattr(module, "VideoWriter"):
            module.VideoWriter = self._class(module.VideoWriter, _WRITTEN)
        nets = getattr(module, "dnn", None)
        for name in dir(nets):
            if name.startswith("readNet"):
                function = getattr(nets, name)
                setattr(nets, name, self._before(self._before(function, _READ, 0, "model"), _READ, 1, "config"))

    def _xgboost(self, module: Any) -> None:
        self._methods(module.Booster, ("load_model",), _READ)
        self._methods(module.Booster, ("save_model",), _WRITTEN)

    def _onnxruntime(self, module: Any) -> None:
        self._methods(module.InferenceSession, ("__init__",), _READ)

    # How it is wrapped.

    def _functions(self, owner: Any, names: Any, kind: Any, *, place: int = 0, name: str = "source") -> None:
        for each in names:
            function = getattr(owner, each, None)
            if callable(function):
                setattr(owner, each, self._before(function, kind, place, name))

    def _methods(self, owner: Any, names: Any, kind: Any) -> None:
        for name in names:
            if name in vars(owner):
                setattr(owner, name, self._before(vars(owner)[name], kind, 1, ""))

    def _before(self, function: Any, kind: Any, place: int, name: str) -> Any:
        """Return a function that notes the argument at a place, or of a name, or the first one that is a path."""

        def call(*args: Any, **kwargs: Any) -> Any:
            given = args[place] if len(args) > place else kwargs.get(name)
            if given is None and len(args) <= place:
                given = next((one for one in kwargs.values() if isinstance(one, (str, bytes, os.PathLike))), None)
            self._tell(kind(args[place + 1 :], kwargs) if callable(kind) else kind, given)
            return function(*args, **kwargs)

        return _as(function, call)

    def _after(self, function: Any, tell: Callable[..., None]) -> Any:
        """Return a function that tells its result and its arguments."""

        def call(*args: Any, **kwargs: Any) -> Any:
            found = function(*args, **kwargs)
            try:
                tell(found, *args, **kwargs)
            except Exception:  # noqa: BLE001, S110 - the program of the user comes first
                pass
            return found

        return _as(function, call)

    def _class(self, original: Any, kind: Any) -> Any:
        """Return what stands for a class of native code, which takes no new methods: its instances are the same."""
        make = self._before(original, kind, 0, "filename")

        class Meta(type):
            def __call__(cls, *args: Any, **kwargs: Any) -> Any:
                return make(*args, **kwargs) if cls is stand_in else super().__call__(*args, **kwargs)

            def __instancecheck__(cls, instance: Any) -> bool:
                return isinstance(instance, original) if cls is stand_in else super().__instancecheck__(instance)

            def __subclasscheck__(cls, other: Any) -> bool:
                return issubclass(other, original) if cls is stand_in else super().__subclasscheck__(other)

            def __getattr__(cls, name: str) -> Any:
                return getattr(original, name)

        body = {"__module__": original.__module__, "__doc__": original.__doc__, "__wrapped__": original}
        try:
            stand_in = Meta(original.__name__, (original,), dict(body))
        except TypeError:  # which nothing may be derived from
            stand_in = Meta(original.__name__, (), dict(body))
        return stand_in

    def _tell(self, kind: bytes, given: Any) -> None:
        try:
            for path in _paths(given, expand=kind == _READ):
                self._note(kind, path)
        except Exception:  # noqa: BLE001, S110 - see above
            pass


def _as(function: Any, call: Any) -> Any:
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        try:
            setattr(call, name, getattr(function, name))
        except AttributeError:
            pass
    call.__wrapped__ = function
    return call


def _by_mode(more: Any, kwargs: Any) -> bytes:
    """Return the kind of note for a file that is opened in a mode: the argument behind the path."""
    mode = more[0] if more else kwargs.get("mode") or "r"
    if mode in ("r", "rb"):
        return _READ
    return _WRITTEN if mode[:1] in ("w", "x") else _BOTH


def _paths(given: Any, *, expand: bool) -> Iterator[Any]:
    """Yield the paths of files that an argument names: itself, those of a list, of a folder, of a pattern."""
    if isinstance(given, (list, tuple)):
        for one in given:
            yield from _paths(one, expand=expand)
        return
    if not isinstance(given, (str, bytes, os.PathLike)):
        return
    path = os.fsdecode(given)
    if path.startswith("file://"):
        path = path[7:]
    if "://" in path or "\n" in path:
        return
    if not expand or os.path.isfile(path):
        yield path
    elif os.path.isdir(path):
        count = 0
        for folder, _, names in os.walk(path):
            for name in names:
                count += 1
                if count <= _MOST:
                    yield os.path.join(folder, name)
    elif any(mark in path for mark in "*?["):
        import glob

        for name in glob.glob(path, recursive=True)[:_MOST]:
            yield from _paths(name, expand=True)
