"""Runs a command and passes its streams on, as `ssh` would; counts what goes up, and can cut the connection once.

    python relay.py FOLDER COMMAND...      the last word is given to a shell, as ssh does at the far end

FOLDER/up holds a line for each piece that went up, with its bytes. FOLDER/cut, where it exists, says when to end the
command and this program: `up N` after N bytes went up, `down N` after N bytes came down; it is removed then.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path


def main() -> None:
    folder = Path(sys.argv[1])
    command = subprocess.Popen(
        ["sh", "-c", sys.argv[-1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
    )
    cut = folder / "cut"

    def copy(source: int, target: int, name: str) -> None:
        total = 0
        while data := os.read(source, 65536):
            direction, after = cut.read_text().split() if cut.exists() else ("", "0")
            if direction == name and total + len(data) >= int(after):
                rest = data[: max(0, int(after) - total)]
                os.write(target, rest)
                note(folder, name, len(rest))
                cut.unlink(missing_ok=True)
                os.killpg(command.pid, signal.SIGKILL)
                os._exit(255)
            total += len(data)
            note(folder, name, len(data))
            try:
                while data:
                    data = data[os.write(target, data) :]
            except BrokenPipeError:
                return
        if name == "up":
            command.stdin.close()

    threading.Thread(target=copy, args=(0, command.stdin.fileno(), "up"), daemon=True).start()
    copy(command.stdout.fileno(), 1, "down")
    sys.exit(command.wait())


def note(folder: Path, name: str, count: int) -> None:
    if name == "up":
        with open(folder / "up", "a") as file:
            file.write(f"{count}\n")


main()
