"""What a hub takes for pushes into a repository of many small files, and to put a deleted branch away.

    python bench/hub.py --files 100000

A real sshd on the loopback interface; times are those of the whole command at the near end, and of `hub put-away`.
"""

# ruff: noqa: T201 -- a script that prints

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.servers.sshd import start_sshd, stop_sshd

_FOLDER = 100  # files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=256, help="MiB of a file that cannot be compressed")
    args = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="dsvc-hub-"))
    (base / "sshd").mkdir()
    server, process = start_sshd(base / "sshd")
    try:
        doors = server.folder / "authorized_keys"
        doors.write_text("")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", base / "key"], check=True)
        ssh = (
            f"ssh -F none -i {base / 'key'} -o IdentitiesOnly=yes -o BatchMode=yes -p {server.port} -l {server.user} "
            f"-o UserKnownHostsFile={server.known_hosts} -o GlobalKnownHostsFile=/dev/null"
        )
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(base),
            "LANG": "C.UTF-8",
            "DSVC_USER_NAME": "Ada",
            "DSVC_USER_EMAIL": "ada@example.com",
            "DSVC_SSH_COMMAND": ssh,
        }

        def dsvc(*words: str, folder: Path = base) -> float:
            began = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "dsvc", *words], cwd=folder, env=environment, check=True, capture_output=True
            )
            return time.perf_counter() - began

        dsvc("hub", "init", "hub")
        dsvc("hub", "user", "add", "hub", "ada", "--key", "key.pub", "--role", "owner", "--authorized-keys", str(doors))
        project = base / "project"
        project.mkdir()
        for number in range(args.files):
            path = project / f"d{number // _FOLDER}" / str(number)
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{number}\n" * 5)
        dsvc("init", "-q", folder=project)
        dsvc("remote", "add", "origin", "ssh://127.0.0.1/vision", folder=project)

        def push(what: str, branch: str = "main") -> None:
            dsvc("commit", "-q", "-m", what, folder=project)
            print(f"push of {what}: {dsvc('push', '-q', 'origin', branch, folder=project):.2f} s")

        push(f"{args.files:,} files")
        for number in range(3):
            (project / "one").write_text(f"{number}\n")
            push("one file more")
        dsvc("switch", "-q", "-c", "topic", folder=project)
        (project / "large").write_bytes(os.urandom(args.large << 20))
        push(f"{args.large} MiB", "topic")
        (base / "hub" / "rules.toml").write_text("put_away = false\n")  # so that it is done here
        dsvc("push", "-q", "origin", "--delete", "topic", folder=project)
        print(f"put away: {dsvc('hub', 'put-away', 'hub', 'vision'):.2f} s")
        print(f"nothing to put away: {dsvc('hub', 'put-away', 'hub', 'vision'):.2f} s")
    finally:
        stop_sshd(process)
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
