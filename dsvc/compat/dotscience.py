"""The calls of the library `dotscience` 0.8, recorded here: `import dsvc.compat.dotscience as ds`.

`publish` writes the same block of text as ever (see `dsvc.runs.dotscience`), so whatever reads those goes on to work.
In a dsvc repository each published run is recorded as well, with its values as they are and not as text: numbers stay
numbers. After `publish` the blocks go on to show all that was said, as ever, until `start`. In the records, parameters,
labels and inputs stay in force that long, and the names of those that were said before an earlier `publish` are kept
beside them; results (metrics, outputs, models, errors, descriptions) belong to the one run that they were said of.

Nothing is sent to a server: `connect` only says so. `dsvc push` shares the runs.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any, Protocol, TypeVar

import dsvc
from dsvc.compat.forms import Forms
from dsvc.compat.printed_run import Run, files_in, framework_of
from dsvc.errors import DsvcError, NotARepositoryError
from dsvc.runs import events
from dsvc.runs.values import storable
from dsvc.tracking.run import Run as Recorded

T = TypeVar("T")


class _Text(Protocol):
    def write(self, text: str, /) -> Any: ...


class Dotscience(Forms):
    """Runs one after the other: what is told goes to the one under way, `publish` prints it and records it."""

    currentRun: Run | None = None  # noqa: N815 - its name

    def __init__(self) -> None:
        self._mode: str | None = None
        self._workload_file: str | None = None
        self._root = os.getenv("DOTSCIENCE_PROJECT_DOT_ROOT", default=os.getcwd())
        self._recorded: Recorded | None = None
        self._records = True
        self._in_force: dict[tuple[str, str], Any] = {}  # parameters, labels and inputs since `start`
        self._carried: set[tuple[str, str]] = set()  # those that were said before an earlier `publish`

    # Modes.

    def connect(self, username: str, apikey: str, project: str, hostname: str = "") -> None:
        """Take what once named a server; runs are recorded here, and 'dsvc push' shares them.

        Raises:
            ValueError: without the name of a project.
        """
        del username, apikey, hostname
        if not project:
            raise ValueError("connect needs the name of a project as its third argument")
        self._mode, self._workload_file = "remote", None
        print("dsvc: runs are recorded in this repository; 'dsvc push' shares them", file=sys.stderr)  # noqa: T201

    def interactive(self) -> None:
        """Say that the code comes from no file."""
        self._choose("interactive")

    def remote(self) -> None:
        """Say that the runs are for somebody else."""
        self._choose("remote")

    def script(self, script_path: str | None = None) -> None:
        """Say that the code comes from a file: this program's, or the one that is named."""
        self._choose("script")
        self._workload_file = os.path.relpath(script_path or sys.argv[0], self._root)

    def _choose(self, mode: str) -> None:
        if self._mode not in (None, mode):
            raise RuntimeError(f"{mode} mode was asked for where {self._mode} mode was chosen before")
        self._mode, self._workload_file = mode, None

    # Beginning and end.

    def start(self, description: object = None) -> None:
        """Begin a new run."""
        self._finish()
        self._in_force.clear()
        self.currentRun = Run(self._root)
        self.currentRun.start()
        if description is not None:
            self.set_description(description)

    def end(self) -> None:
        """Note the time of the end."""
        self._run().end()

    def publish(
        self,
        description: object = None,
        stream: _Text | None = None,
        build: bool = False,  # noqa: FBT001, FBT002 - its form
        deploy: bool = False,  # noqa: FBT001, FBT002
    ) -> Any:
        """Write the block of the run, and record it. Return what names it, in remote mode."""
        if self._mode is None:
            kind = os.getenv("DOTSCIENCE_WORKLOAD_TYPE", "")
            if kind == "jupyter":
                self.interactive()
            elif kind == "command":
                self.script()
        run = self._run()
        run.end()
        if description is not None:
            self.set_description(description)
        run._set_workload_file(self._workload_file)
        run.newID()
        if build or deploy:
            warnings.warn("images are built and deployed by 'dsvc deploy', not by publish", stacklevel=2)
        recorded = self._recorded
        if recorded is not None:
            workload = {} if self._workload_file is None else {"workload": self._workload_file}
            carried = {"carried": sorted(name for _, name in self._carried)} if self._carried else {}
            recorded._append((events.META, "dotscience", {"blocks": [run._id], **workload, **carried}))
        if self._mode != "remote" or recorded is None:
            (stream or sys.stdout).write(f"{run}\n")
        self._finish()
        run.forget_times()
        return {"run": recorded.key.hex()} if self._mode == "remote" and recorded is not None else None

    def _run(self) -> Run:
        if self.currentRun is None:
            self.start()
        assert self.currentRun is not None
        self.currentRun.lazy_start()
        self._record()
        return self.currentRun

    def _record(self) -> Recorded | None:
        """Return the record of the run under way, begun now if it was not; None outside of a repository."""
        if self._recorded is None and self._records:
            try:
                self._recorded = dsvc.start_run()
                self._carry(self._recorded)
            except NotARepositoryError:
                self._records = False
            except (DsvcError, OSError) as error:
                self._records = False
                warnings.warn(f"runs are not recorded: {error}", RuntimeWarning, stacklevel=4)
        return self._recorded

    def _carry(self, recorded: Recorded) -> None:
        """Say of a new run what is in force since runs before it."""
        self._carried = set(self._in_force)
        for (what, name), value in self._in_force.items():
            if what == "parameter":
                recorded.param(name, value)
            elif what == "label":
                recorded.label(name, value)
            else:
                recorded.input(name)

    def _keep(self, what: str, name: str, value: Any = None) -> None:
        """Note what is in force from now on; said anew, it is this run's own."""
        self._in_force[what, name] = value
        self._carried.discard((what, name))

    def _finish(self) -> None:
        if self._recorded is not None:
            self._recorded.end()
            self._recorded = None

    param = Forms.parameter

    # What is said of the run under way.

    def set_error(self, error: object) -> None:
        """See `Run.set_error`."""
        self._run().set_error(error)
        if self._recorded is not None:
            self._recorded.error(str(error))

    def set_description(self, description: object) -> None:
        """See `Run.set_description`."""
        self._run().set_description(description)
        if self._recorded is not None:
            self._recorded.description(str(description))

    def add_input(self, filename: Any) -> None:
        """See `Run.add_input`."""
        self._run().add_input(filename)
        if self._recorded is not None:
            for each in files_in(os.fspath(filename)):
                self._recorded.input(each)
                self._keep("input", each)

    def add_output(self, filename: Any) -> None:
        """See `Run.add_output`."""
        self._run().add_output(filename)
        if self._recorded is not None:
            self._recorded.output(filename)

    def add_label(self, label: object, value: object) -> None:
        """See `Run.add_label`."""
        self._run().add_label(label, value)
        if self._recorded is not None:
            self._recorded.label(str(label), str(value))
            self._keep("label", str(label), str(value))

    def add_metric(self, label: object, value: object) -> None:
        """See `Run.add_metric`."""
        self._run().add_metric(label, value)
        if self._recorded is not None:
            self._recorded.metric(str(label), value)

    add_summary = add_metric

    def add_parameter(self, label: object, value: object) -> None:
        """See `Run.add_parameter`."""
        self._run().add_parameter(label, value)
        if self._recorded is not None:
            self._recorded.param(str(label), value)
            self._keep("parameter", str(label), storable(value))

    def model(self, kind: Any, name: str, filepath: T, *arguments: Any, **facts: Any) -> T:
        """See `Run.model`."""
        self._run().model(kind, name, filepath, *arguments, **facts)
        if self._recorded is not None:
            framework, version = framework_of(kind)
            more = {"classes": os.fspath(facts["classes"])} if "classes" in facts else {}
            place: str = os.fspath(filepath)  # type: ignore[call-overload]
            self._recorded.model(name, place, framework=framework, framework_version=version, **more)
            for file in more.values():
                self._recorded.output(file)
        return filepath

    def debug(self) -> None:
        """See `Run.debug`."""
        self._run().debug()


_defaultDS = Dotscience()  # noqa: N816 - its name



def script(workload_file: str | None = None) -> None:
    """See `Dotscience.script`; the function has another name for the file than the method, as ever."""
    _defaultDS.script(workload_file)


connect, interactive, remote = _defaultDS.connect, _defaultDS.interactive, _defaultDS.remote
start, end, publish, debug = _defaultDS.start, _defaultDS.end, _defaultDS.publish, _defaultDS.debug
error, set_error = _defaultDS.error, _defaultDS.set_error
description, set_description = _defaultDS.description, _defaultDS.set_description
input, add_input, add_inputs = _defaultDS.input, _defaultDS.add_input, _defaultDS.add_inputs  # noqa: A001 - its name
output, add_output, add_outputs = _defaultDS.output, _defaultDS.add_output, _defaultDS.add_outputs
label, add_label, add_labels = _defaultDS.label, _defaultDS.add_label, _defaultDS.add_labels
metric, add_metric, add_metrics = _defaultDS.metric, _defaultDS.add_metric, _defaultDS.add_metrics
summary, add_summary, add_summaries = metric, add_metric, add_metrics
parameter, add_parameter, add_parameters = (
    _defaultDS.parameter, _defaultDS.add_parameter, _defaultDS.add_parameters
)  # fmt: skip
param = parameter
model, add_model = _defaultDS.model, _defaultDS.add_model
