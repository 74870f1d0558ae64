"""How runs are shown to people, and as JSON."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dsvc.actions.runs import FoundRun
from dsvc.commands.context import Context
from dsvc.commands.date_text import iso_text
from dsvc.commands.path_text import path_json, quote_path
from dsvc.objects.codec import Value
from dsvc.objects.ids import RunId
from dsvc.runs.names import short_key
from dsvc.runs.notes import Note
from dsvc.runs.pins import Pin, Pins, PinState, Seen
from dsvc.runs.record import Run
from dsvc.runs.series import Series
from dsvc.runs.values import flat

MOST_FILES = 100  # inputs and outputs that people are shown
AUTHORITIES = {"derived": "derived from what was found afterwards", "correction": "correction: no run explains it"}
STATE_COLORS = {"done": "green", "failed": "red", "killed": "red", "lost": "magenta", "running": "cyan"}


def ended_text(run: Run) -> str:
    """One line about a run that has just ended."""
    parts = [state_text(run), duration_text(run.elapsed)]
    for count, one, many in ((run.inputs.count, "input", "inputs"), (run.outputs.count, "output", "outputs")):
        parts.append(f"{count} {one if count == 1 else many}")
    return f"run {short_key(run.key)}: {', '.join(parts)}"


def os_text(error: OSError) -> str:
    """What the system refused, without its number; the file only where one is known."""
    text = error.strerror or str(error)
    return f"{text[:1].lower()}{text[1:]}" + (f": {error.filename}" if error.filename is not None else "")


def state_text(run: Run) -> str:
    """How a run ended: `done`, `failed (exit code 3)`, `killed (SIGTERM)`, `lost`."""
    if run.signal is not None and not run.lost:
        try:
            name = signal.Signals(run.signal).name
        except ValueError:
            name = f"signal {run.signal}"
        return f"killed ({name})"
    if run.state == "failed" and run.exit_code:
        return f"failed (exit code {run.exit_code})"
    return run.state


def duration_text(microseconds: int) -> str:
    """A time in two units at most: `13 ms`, `1.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    seconds = microseconds / 1_000_000
    if seconds < 1:
        return f"{microseconds // 1000} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, whole = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {whole} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def size_text(size: int) -> str:
    """A number of bytes in the unit that fits."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def visible(text: str) -> str:
    """A text without what a terminal would take for a command."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def value_text(value: Value) -> str:
    """A parameter or metric on one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else repr(value)
    if isinstance(value, str):
        return visible(" ".join(value.split()))
    if isinstance(value, (tuple, dict, bytes)):
        import json

        return json.dumps(plain_json(value), ensure_ascii=False)
    return str(value)


def pin_lines(pins: Iterable[Pin]) -> Iterator[list[str]]:
    """Rows of a table of inputs or outputs: path, id, what is known of it."""
    for pin in pins:
        found = pin.id.hex()[:10] if pin.id is not None else "-"
        yield [quote_path(pin.path), found, "" if pin.state == PinState.PINNED else pin.state.name.lower()]


def plain_json(value: Value) -> Any:
    """A value as JSON has it: floats that are no numbers, and bytes, become texts."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, tuple):
        return [plain_json(item) for item in value]
    if isinstance(value, dict):
        return {name: plain_json(item) for name, item in value.items()}
    return value


def pin_json(pin: Pin) -> dict[str, Any]:
    """An input or output as an object of a JSON document."""
    return {
        **path_json(pin.path),
        "state": pin.state.name.lower(),
        "seen": [how.name.lower() for how in Seen if how in pin.seen and how.name],
        "kind": pin.kind.name.lower() if pin.kind is not None else None,
        "id": pin.id.hex() if pin.id is not None else None,
        "size": pin.size if pin.id is not None else None,
    }


def pins_json(pins: Pins, rows: Iterable[Pin] | None = None) -> dict[str, Any]:
    """Inputs or outputs: how many, and those that are given."""
    listed = pins.rows if rows is None else rows
    return {"count": pins.count, "size": pins.size, "files": [pin_json(pin) for pin in listed]}


def run_json(run: Run, run_id: RunId) -> dict[str, Any]:
    """A run as an object of a JSON document; of many inputs or outputs their number alone."""
    return {
        "run": run.key.hex(),
        "id": run_id.hex(),
        "state": run.state,
        "name": run.name or None,
        "description": run.description or None,
        "authority": run.authority,
        "user": run.user,
        "start": iso_text(run.start, run.zone),
        "end": iso_text(run.end, run.zone) if run.end is not None else None,
        "elapsed": run.elapsed / 1_000_000,
        "exit_code": run.exit_code,
        "signal": run.signal,
        "error": run.error or None,
        "command": [w if isinstance(w, str) else w.decode("utf-8", "backslashreplace") for w in run.command],
        "directory": run.directory.decode("utf-8", "backslashreplace"),
        "source": run.source.hex() if run.source is not None else None,
        "base": run.base.hex() if run.base is not None else None,
        "environment": run.environment.hex() if run.environment is not None else None,
        "parent": run.parent.hex() if run.parent is not None else None,
        "params": plain_json(dict(run.params)),
        "metrics": plain_json(dict(run.metrics)),
        "series": [series_json(series) for series in run.series],
        "labels": dict(run.labels),
        "inputs": pins_json(run.inputs),
        "outputs": pins_json(run.outputs),
        "logs": {name: {"id": log.id.hex(), "size": log.size} for name, log in run.logs.items()},
        "variables": dict(run.variables),
        "resources": plain_json(dict(run.resources)),
        "machine": plain_json(dict(run.machine)),
        "observation": plain_json(dict(run.observation)),
        "metadata": plain_json(dict(run.metadata)),
    }


def series_json(series: Any) -> dict[str, Any]:
    """What a record says of a series."""
    return {
        "name": series.name,
        "count": series.count,
        "last": plain_json(series.last),
        "min": plain_json(series.least),
        "max": plain_json(series.most),
        "last_step": series.last_step,
    }


def note_json(note: Note) -> dict[str, Any]:
    """A note to a run as an object of a JSON document."""
    return {
        "what": note.what,
        "user": note.user,
        "time": iso_text(note.time, note.zone),
        "text": note.text or None,
        "labels": dict(note.labels),
    }


def found_json(found: FoundRun) -> dict[str, Any]:
    """A run with all its inputs, outputs and notes as an object of a JSON document."""
    return {
        **run_json(found.run, found.run_id),
        "labels": dict(found.labels),
        "inputs": pins_json(found.run.inputs, found.inputs),
        "outputs": pins_json(found.run.outputs, found.outputs),
        "notes": [note_json(note) for note in found.notes],
    }


def print_run(context: Context, found: FoundRun) -> None:
    """Print all that is recorded of a run."""
    run, out = found.run, context.out
    out.line(f"run {out.paint(short_key(run.key), 'yellow')}  {out.paint(state_text(run), STATE_COLORS[run.state])}")
    rows = [["Authority:", AUTHORITIES[run.authority]]] if run.authority in AUTHORITIES else []
    rows += [["Name:", visible(run.name)]] if run.name else []
    if run.command:
        rows.append(["Command:", shell_text(run.command)])
    if run.directory:
        rows.append(["Folder:", quote_path(run.directory)])
    rows += [["User:", visible(run.user)], ["Started:", iso_text(run.start, run.zone)], ["Took:", _took(run)]]
    if run.machine:
        facts = ("host", "platform", "cpu")
        rows.append(["Machine:", ", ".join(value_text(run.machine[fact]) for fact in facts if fact in run.machine)])
    rows += [["Graphics:", _graphics(run)], ["Container:", _container(run)]]
    rows += [["Source:", _hex(run.source)], ["Commit:", _hex(run.base)], ["Environment:", _hex(run.environment)]]
    if run.parent is not None:
        rows.append(["Inside run:", short_key(run.parent)])
    rows += [["Run id:", found.run_id.hex()], ["Observed:", observed_text(run)], ["Elsewhere:", _elsewhere(run)]]
    rows += [["Taken from:", _taken_from(run)]]
    out.table([row for row in rows if row[1]])
    if run.description:
        out.line()
        for line in run.description.splitlines():
            out.line(f"    {visible(line)}".rstrip())
    print_section(context, "Parameters", [[name, value_text(value)] for name, value in flat(run.params)])
    print_section(context, "Metrics", [[name, value_text(value)] for name, value in flat(run.metrics)])
    print_section(context, "Series", [_series_row(series) for series in run.series])
    print_section(context, "Labels", [[name, text] for name, text in found.labels.items()])
    print_section(context, "Variables", [[name, text] for name, text in run.variables.items()])
    print_section(context, "Inputs", _pin_rows(found.inputs, run.inputs.count))
    print_section(context, "Outputs", _pin_rows(found.outputs, run.outputs.count))
    print_section(context, "Logs", [[name, size_text(log.size)] for name, log in run.logs.items()])
    if run.error:
        out.line()
        out.line("Error")
        for line in run.error.splitlines():
            out.line(f"    {visible(line)}".rstrip())
    for note in found.notes:
        if note.what == "comment":
            out.line()
            print_note(context, note)


def print_note(context: Context, note: Note) -> None:
    """Print who said what of a run when."""
    out = context.out
    out.line(f"{note.what.capitalize()} by {visible(note.user)}, {iso_text(note.time, note.zone)}")
    for line in note.text.splitlines():
        out.line(f"    {visible(line)}".rstrip())
    for name, text in note.labels.items():
        out.line(f"    {visible(name)}: {'(taken away)' if text is None else visible(text)}")


def print_section(context: Context, title: str, rows: Sequence[Sequence[str]]) -> None:
    """Print rows below a title, if there are any."""
    if rows:
        context.out.line()
        context.out.line(title)
        context.out.table([[f"    {visible(row[0])}", *map(visible, row[1:])] for row in rows])


def _pin_rows(pins: Sequence[Pin], count: int) -> list[list[str]]:
    rows = list(pin_lines(pins[:MOST_FILES]))
    if count > len(rows):
        rows.append([f"and {count - len(rows):,} more (--json lists them all)"])
    return rows


def _series_row(series: Series) -> list[str]:
    least, most = (value_text(value) for value in (series.least, series.most))
    span = "" if series.least is None else f"from {least} to {most}"
    points = f"{series.count:,} {'point' if series.count == 1 else 'points'}"
    return [series.name, f"last {value_text(series.last)}", span, points]


def _took(run: Run) -> str:
    text = duration_text(run.elapsed)
    cpu = [run.resources.get(name) for name in ("cpu_user", "cpu_system")]
    if all(isinstance(value, int) for value in cpu):
        text += f", CPU {duration_text(sum(cpu))}"  # type: ignore[arg-type]
    peak, below = run.resources.get("peak_memory"), run.resources.get("peak_memory_below")
    if isinstance(peak, int):
        return f"{text}, {size_text(peak)} of memory"
    return f"{text}, less than {size_text(below)} of memory" if isinstance(below, int) else text


def _graphics(run: Run) -> str:
    cards = run.resources.get("graphics")
    pairs = cards.items() if isinstance(cards, dict) else ()
    known = [(visible(name), peak) for name, peak in pairs if isinstance(peak, int)]
    return ", ".join(f"{name} ({size_text(peak)})" if peak else name for name, peak in known)


def _container(run: Run) -> str:
    match run.metadata.get("container"):
        case {"engine": str(engine), "image": str(image), "id": str(number)}:
            return f"{visible(image)} ({visible(number[:19])}, {visible(engine)})"
    return ""


def _taken_from(run: Run) -> str:
    """Name the files from which parameters and metrics came."""
    params, metrics = run.observation.get("params"), run.observation.get("metrics")
    parts = [f"parameters from {visible(params)}"] if isinstance(params, str) and params else []
    names = [visible(name) for name in metrics if isinstance(name, str)] if isinstance(metrics, tuple) else []
    measured = f"metrics from {' and '.join(names)}" if names and (run.metrics or run.series) else ""
    return ", ".join([*parts, *([measured] if measured else [])])


def _elsewhere(run: Run) -> str:
    """Name files outside of the working copy that nobody declared."""
    parts = []
    for what, option in (("read", "-i"), ("written", "-o")):
        names = _names(run, f"{what}_elsewhere")
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            parts.append(f"{what} {', '.join(names[:3])}{more} ({option} PATH records it)")
    return "; ".join(parts)


def _names(run: Run, what: str) -> list[str]:
    found = run.observation.get(what)
    return [visible(name) for name in found if isinstance(name, str)] if isinstance(found, tuple) else []


def _hex(found: bytes | None) -> str:
    return found.hex()[:10] if found is not None else ""


def observed_text(run: Run) -> str:
    """How complete the inputs and outputs are, in words."""
    reads, writes = run.observation.get("reads"), run.observation.get("writes")
    text = {
        "strace": "all system calls",
        "python": "what Python opened",
        "declared": "nothing but what was declared",
    }.get(str(reads), "")
    libraries = run.observation.get("libraries")
    if isinstance(libraries, tuple) and libraries and reads == "python":
        text += f" or read by {', '.join(map(str, libraries[:8]))}"
    if writes == "compared":
        text += "; the working copy was compared before and after"
    names: list[Value] = []
    for what in ("programs", "unseen_libraries"):
        found = run.observation.get(what)
        names += found[:5] if isinstance(found, tuple) else ()
    if names and reads == "python":
        text += f"; not what {', '.join(map(str, names))} read"
    for what in ("read", "written"):
        count = len(_names(run, f"{what}_elsewhere"))
        if count:
            text += f"; not {count} {'file' if count == 1 else 'files'} {what} outside of the working copy"
    notes = {
        "concurrent": "another run went on beside it",
        "left_running": "processes went on after it",
        "trace_cut": "not all of it",
        "refused": "not all of it",
        "log_bytes_dropped": "not all of its output was kept",
    }
    return "; ".join(dict.fromkeys([text, *(note for what, note in notes.items() if run.observation.get(what))]))


def shell_text(words: Sequence[str | bytes]) -> str:
    """A command line as a shell would take it."""
    import shlex

    plain = [word if isinstance(word, str) else word.decode("utf-8", "backslashreplace") for word in words]
    return visible(shlex.join(plain))
