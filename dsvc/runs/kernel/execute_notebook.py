"""Executes a notebook by nbclient, and prints what its cells print as it comes.

It is started by its path, with a file of JSON that says what to do: `notebook` and `kept` are paths, `copy` is one
or null, `cell` the cell of parameters or null, `python` whether the language is Python. The notebook with its
outputs is written to `kept` and `copy`, as far as it came, whatever happens. The exit code is 1 when a cell fails.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from typing import Any

_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_EVERY = 10.0  # seconds after which the notebook is written again while it goes on
_START = 120  # seconds for the kernel


def main(order_file: str, sockets: str) -> int:
    """Execute the notebook that the file names; return the exit code. `sockets` begins the names of the sockets."""
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from traitlets.config import Config

    with open(order_file, encoding="utf-8") as file:
        order: dict[str, Any] = json.load(file)
    notebook = nbformat.read(order["notebook"], as_version=4)
    _clear(notebook)
    if order["cell"] is not None:
        _insert(notebook, nbformat.from_dict(order["cell"]))
    kernel = notebook.metadata.get("kernelspec", {}).get("name", "python3")
    if order["python"] and kernel not in KernelSpecManager().find_kernel_specs():
        kernel = "python3"

    class Client(NotebookClient):  # type: ignore[misc, unused-ignore]
        def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
            _show(msg)
            return super().process_message(msg, cell, cell_index)

    def keep() -> None:
        for path in (order["kept"], order["copy"]):
            if path is not None:
                _write(path, nbformat.writes(notebook))

    folder = os.path.dirname(os.path.abspath(order["notebook"]))
    client = Client(
        notebook,
        config=Config({"KernelManager": {"transport": "ipc", "ip": sockets}}),  # no port that others could reach
        timeout=None,
        startup_timeout=_START,
        kernel_name=kernel,
        record_timing=False,
        resources={"metadata": {"path": folder}},
    )
    client.on_cell_executed = _now_and_then(keep)
    try:
        client.execute()
    except CellExecutionError:
        return 1
    except DeadKernelError as error:
        print(f"the kernel of the notebook died: {error}", file=sys.stderr)  # noqa: T201
        return 1
    finally:
        keep()
    return 0


def _clear(notebook: Any) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None


def _insert(notebook: Any, cell: Any) -> None:
    """Put a cell in the place of one that was put in before, behind that of the defaults, or at the top."""
    if notebook.nbformat_minor < 5:
        cell.pop("id", None)
    tags = [set(one.metadata.get("tags", ())) for one in notebook.cells]
    for at, found in enumerate(tags):
        if "injected-parameters" in found:
            notebook.cells[at] = cell
            return
    at = next((at + 1 for at, found in enumerate(tags) if "parameters" in found), 0)
    notebook.cells.insert(at, cell)


def _show(message: Any) -> None:
    """Print what a message of the kernel says to people."""
    content, kind = message["content"], message["msg_type"]
    if kind == "stream":
        stream = sys.stderr if content["name"] == "stderr" else sys.stdout
        text = content["text"]
    elif kind in ("execute_result", "display_data"):
        stream, text = sys.stdout, content["data"].get("text/plain", "") + "\n"
    elif kind == "error":
        stream, text = sys.stderr, "\n".join(content["traceback"]) + "\n"
    else:
        return
    if not stream.isatty():
        text = _ESCAPES.sub("", text)
    stream.write(text)
    stream.flush()


def _now_and_then(keep: Any) -> Any:
    from time import monotonic

    last = monotonic()

    async def executed(**_kwargs: Any) -> None:
        nonlocal last
        if monotonic() - last > _EVERY:
            keep()
            last = monotonic()

    return executed


def _write(path: str, text: str) -> None:
    """Write a file so that whoever reads it sees the old or the new content."""
    beside = f"{path}.{os.getpid()}.tmp"
    with open(beside, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(beside, path)


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != here]
    with tempfile.TemporaryDirectory(prefix="dsvc-") as runtime:  # its name is short: that of a socket has a limit
        os.environ["JUPYTER_RUNTIME_DIR"] = runtime
        code = main(sys.argv[1], os.path.join(runtime, "kernel"))
    sys.exit(code)
