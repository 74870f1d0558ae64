"""Runs in the interpreter that is asked about, from Python 3.8 on: prints what only that one knows, as JSON.

It is given by its text, imports nothing of dsvc, and marks its answer, since a sitecustomize may print too.
"""

import json
import platform
import sys
import sysconfig


def main() -> None:
    """Print the answer."""
    variables = sysconfig.get_config_vars()
    maps = []
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                fields = line.rstrip("\n").split(None, 5)
                if len(fields) == 6 and fields[5].startswith("/") and fields[5] not in maps:
                    maps.append(fields[5])
    except OSError:
        pass
    answer = {
        "implementation": sys.implementation.name,
        "version": platform.python_version(),
        "build": sys.version,
        "major": sys.version_info[0],
        "minor": sys.version_info[1],
        "abiflags": getattr(sys, "abiflags", ""),
        "soabi": variables.get("SOABI") or "",
        "debug": bool(variables.get("Py_DEBUG")),
        "free_threaded": bool(variables.get("Py_GIL_DISABLED")),
        "platform": sysconfig.get_platform(),
        "libc": " ".join(part for part in platform.libc_ver() if part),
        "path": [entry for entry in sys.path if entry],
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "executable": sys.executable,
        "base_executable": getattr(sys, "_base_executable", "") or sys.executable,
        "maps": maps,
    }
    sys.stdout.write("\n" + sys.argv[1] + json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
