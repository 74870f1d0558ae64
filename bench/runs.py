"""What recording runs costs, and lists of ten thousand, beside MLflow if an interpreter that has it is named.

    python bench/runs.py --rounds 5
    python bench/runs.py --runs 10000 --mlflow /path/to/venv/bin/python
    python bench/runs.py --only lists --mlflow PYTHON --folder /dev/shm/lists --rounds 0     # fills the stores
    python bench/runs.py --only lists --mlflow PYTHON --folder /dev/shm/lists --rounds 3     # lists what is there

Everything is a process of its own; what is compared takes turns, and the best of each counts.
"""

# ruff: noqa: T201 -- a script that prints

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

PYTHON = sys.executable
NAMES = 20

OPENS = """
import sys, time
paths = [f'many/{n}' for n in range(10000)]
for path in paths[:100]: open(path, 'rb').close()
begin = time.process_time(); wall = time.perf_counter()
for path in paths:
    with open(path, 'rb') as file: file.read()
print(time.process_time() - begin, time.perf_counter() - wall)
"""
LOGS = """
import dsvc, time
run = dsvc.start_run('log')
begin = time.perf_counter()
for step in range(100000): run.log(loss=1 / (step + 1), step=step)
print((time.perf_counter() - begin) * 10)
"""
FILL = """
import os, random, sys
from pathlib import Path
from dataclasses import replace
sys.path.insert(0, os.getcwd())
from dsvc.tracking.opening import open_workspace
from dsvc.objects.ids import Kind, ObjectId
from dsvc.refs.view import Direct
from dsvc.runs.names import new_key, run_ref
from dsvc.runs.record import Run, encode_run
count, names = int(sys.argv[1]), int(sys.argv[2])
workspace = open_workspace(Path.cwd(), os.environ, ())
random.seed(1)
transaction = workspace.repo.transaction()
for n in range(count):
    start = 1_700_000_000_000_000 + n * 1_000_000
    run = Run(key=new_key(start), authority='workload', start=start, zone=0, user='Ada', name=f'run {n}',
              command=('python', 'train.py', '--n', str(n)), end=start + 5_000_000, exit_code=0,
              params={f'p{i}': random.random() for i in range(names)},
              metrics={f'm{i}': random.random() for i in range(names)})
    transaction.set(run_ref(run.key), Direct(Kind.RUN, workspace.repo.store.put(Kind.RUN, encode_run(run))))
workspace.publish(transaction, workspace.act('run', 'run: many'))
workspace.close()
"""
# A first run is made by MLflow itself, and the others are that one again with other numbers: by its own calls ten
# thousand of them take the better part of an hour, and what is measured is how they are listed.
MLFLOW_FILL = """
import os, random, shutil, sqlite3, sys, uuid
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient
uri, count, names = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random.seed(1)
client = MlflowClient(uri)
experiment = client.create_experiment('bench')
first = client.create_run(experiment).info.run_id
client.log_batch(first, metrics=[Metric(f'm{i}', random.random(), 1, 0) for i in range(names)],
    params=[Param(f'p{i}', str(random.random())) for i in range(names)])
client.set_terminated(first)
keys = [uuid.uuid4().hex for _ in range(count - 1)]
if uri.startswith('sqlite:'):
    db = sqlite3.connect(uri.removeprefix('sqlite:///'))
    db.create_function('random_number', 0, random.random)
    for table in ('runs', 'metrics', 'latest_metrics', 'params', 'tags'):
        columns = [row[1] for row in db.execute(f'pragma table_info({table})')]
        changed = {'run_uuid': '?', 'value': 'random_number()'} if table != 'tags' else {'run_uuid': '?'}
        values = ', '.join(changed.get(name, name) for name in columns)
        db.executemany(f'insert into {table} ({", ".join(columns)}) select {values} from {table} where run_uuid = ?',
                       [(key, first) for key in keys])
    db.commit()
else:
    folder = os.path.join(uri.removeprefix('file://'), experiment)
    for key in keys:
        shutil.copytree(os.path.join(folder, first), os.path.join(folder, key))
        meta = open(os.path.join(folder, first, 'meta.yaml')).read()
        open(os.path.join(folder, key, 'meta.yaml'), 'w').write(meta.replace(first, key))
        for i in range(names):
            open(os.path.join(folder, key, 'metrics', f'm{i}'), 'w').write(f'1 {random.random()} 0')
            open(os.path.join(folder, key, 'params', f'p{i}'), 'w').write(str(random.random()))
"""
MLFLOW_LOGS = """
import sys, time
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
client = MlflowClient(sys.argv[1])
run = client.create_run(client.create_experiment('logs')).info.run_id
begin = time.perf_counter()
for step in range(200): client.log_metric(run, 'one', 1 / (step + 1), step=step)
single = (time.perf_counter() - begin) / 200
begin = time.perf_counter()
for start in range(0, 100000, 1000):
    client.log_batch(run, metrics=[Metric('many', 1 / (step + 1), 1, step) for step in range(start, start + 1000)])
print(single * 1e6, (time.perf_counter() - begin) * 10)
"""
MLFLOW_LIST = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
filter_string = sys.argv[2] if len(sys.argv) > 2 else ''
found = mlflow.search_runs(experiment_names=['bench'], filter_string=filter_string, max_results=50000)
print(len(found))
"""


def timed(words: Sequence[str], folder: Path, environment: dict[str, str]) -> tuple[float, float, str]:
    """Wall and processor seconds of a process, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, check=False)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{words}: {done.stderr.decode()[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, done.stdout.decode()


class Bench:
    """A project, and how often each thing is measured."""

    def __init__(self, base: Path, rounds: int) -> None:
        self.base, self.rounds = base, rounds
        self.environment = {
            **os.environ,
            "HOME": str(base),
            "DSVC_USER_NAME": "Ada",
            "DSVC_USER_EMAIL": "ada@example.com",
        }

    def project(self, name: str, files: int) -> Path:
        folder = self.base / name
        folder.mkdir()
        self.dsvc(folder, "init", "-q")
        for number in range(files):
            path = folder / f"d{number % 20}" / f"{number}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{number}\n" * 20)
        self.dsvc(folder, "commit", "-qm", "files")
        return folder

    def dsvc(self, folder: Path, *words: str) -> tuple[float, float, str]:
        return timed([PYTHON, "-m", "dsvc", *words], folder, self.environment)

    def best(self, *calls: Callable[[], tuple[float, float, str]]) -> list[tuple[float, float]]:
        """Call each in turn, `rounds` times; return the best wall and processor seconds of each."""
        found = [(9e9, 9e9)] * len(calls)
        for _ in range(self.rounds):
            for at, call in enumerate(calls):
                wall, cpu, _out = call()
                found[at] = min(found[at][0], wall), min(found[at][1], cpu)
        return found


def overhead(bench: Bench) -> None:
    folder = bench.project("thousand", 1000)
    bench.dsvc(folder, "run", "-q", "--", "true")
    bare, version, recorded = bench.best(
        lambda: timed(["true"], folder, bench.environment),
        lambda: bench.dsvc(folder, "--version"),
        lambda: bench.dsvc(folder, "run", "-q", "--", "true"),
    )
    print("| 1,000 files | wall ms | CPU ms |\n| --- | --- | --- |")
    for name, cost in (("true", bare), ("dsvc --version", version), ("dsvc run -- true", recorded)):
        print(f"| `{name}` | {cost[0] * 1000:.0f} | {cost[1] * 1000:.0f} |")


def tracing(bench: Bench) -> None:
    folder = bench.project("opens", 0)
    (folder / "many").mkdir()
    for number in range(10_000):
        (folder / "many" / str(number)).write_bytes(os.urandom(4096))
    bench.dsvc(folder, "commit", "-qm", "many")
    (folder / "opens.py").write_text(OPENS)
    ways = ("none", "python", "strace")
    costs = dict.fromkeys(ways, (9000000000.0, 9000000000.0))
    for _ in range(bench.rounds):
        for way in ways:
            _, _, out = bench.dsvc(folder, "run", "-q", "--trace", way, "--", PYTHON, "opens.py")
            cpu, wall = map(float, out.split())
            costs[way] = min(costs[way][0], cpu), min(costs[way][1], wall)
    print("\n| 10,000 files of 4 KiB | CPU ms | more | wall ms | more |\n| --- | --- | --- | --- | --- |")
    for way, (cpu, wall) in costs.items():
        more = [f"{(cost / costs['none'][at] - 1) * 100:+.0f} %" for at, cost in enumerate((cpu, wall))]
        print(f"| --trace {way} | {cpu * 1000:.1f} | {more[0]} | {wall * 1000:.1f} | {more[1]} |")


def logging(bench: Bench, mlflow: str | None) -> None:
    folder = bench.project("log", 0)
    found = 9e9
    peers: dict[str, tuple[float, float]] = {}
    for number in range(bench.rounds):
        found = min(found, float(timed([PYTHON, "-c", LOGS], folder, bench.environment)[2]))
        for name, uri in mlflow_stores(bench.base, f"logs{number}").items() if mlflow is not None else ():
            _, _, out = timed([str(mlflow), "-c", MLFLOW_LOGS, uri], bench.base, mlflow_environment(bench))
            single, batched = map(float, out.split())
            known = peers.get(name, (9e9, 9e9))
            peers[name] = min(known[0], single), min(known[1], batched)
    print("\n| 100,000 points of a metric | us each |\n| --- | --- |")
    print(f"| `run.log(loss=..., step=...)` | {found:.1f} |")
    for name, (single, batched) in peers.items():
        print(f"| MLflow, {name} store, `log_metric` (200 calls) | {single:.0f} |")
        print(f"| MLflow, {name} store, `log_batch` of 1,000 | {batched:.1f} |")


def mlflow_stores(base: Path, name: str) -> dict[str, str]:
    return {"sqlite": f"sqlite:///{base}/{name}.db", "file": f"file://{base}/{name}"}


def mlflow_environment(bench: Bench) -> dict[str, str]:
    environment = {**bench.environment, "MLFLOW_ALLOW_FILE_STORE": "true", "GIT_PYTHON_REFRESH": "quiet"}
    return environment | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def lists(bench: Bench, count: int, mlflow: str | None) -> None:
    folder = bench.base / "list"
    if not folder.exists():
        bench.project("list", 0)
        fill, cpu, _ = timed([PYTHON, "-c", FILL, str(count), str(NAMES)], folder, bench.environment)
        print(f"\n{count} runs stored and published in {fill:.1f} s (CPU {cpu:.1f})")
    (folder / ".dsvc/cache/runs.sqlite").unlink(missing_ok=True)
    first = bench.dsvc(folder, "runs", "--csv")
    print(f"the first list, which makes the index: {first[0]:.2f} s (CPU {first[1]:.2f})")
    where = "metrics.m1 > 0.9 and params.p1 < 0.5"
    calls = {
        "dsvc runs": lambda: bench.dsvc(folder, "runs"),
        "dsvc runs --csv": lambda: bench.dsvc(folder, "runs", "--csv"),
        f"dsvc runs --where '{where}'": lambda: bench.dsvc(folder, "runs", "--where", where),
        "dsvc runs --best metrics.m1": lambda: bench.dsvc(folder, "runs", "--best", "metrics.m1"),
    }
    if mlflow is not None:
        environment = mlflow_environment(bench)
        for name, uri in mlflow_stores(bench.base, "mlruns").items():
            if not Path(uri.partition("://")[2].replace("//", "/")).exists():
                filled = timed([mlflow, "-c", MLFLOW_FILL, uri, str(count), str(NAMES)], bench.base, environment)
                print(f"MLflow, {name} store, filled in {filled[0]:.0f} s", flush=True)
            for filter_string in ("", "metrics.m1 > 0.9 and params.p1 LIKE '0.4%'"):
                words = [mlflow, "-c", MLFLOW_LIST, uri, filter_string]
                what = "filtered" if filter_string else "all"
                calls[f"`mlflow.search_runs`, {name} store, {what}"] = lambda words=words: timed(
                    words, bench.base, environment
                )
    if not bench.rounds:
        return
    found = bench.best(*calls.values())
    print(f"\n| {count} runs, {NAMES} params, {NAMES} metrics | wall s | CPU s |\n| --- | --- | --- |")
    for name, cost in zip(calls, found, strict=True):
        print(f"| {name} | {cost[0]:.2f} | {cost[1]:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--mlflow", help="an interpreter with MLflow")
    parser.add_argument("--only", choices=("overhead", "tracing", "logging", "lists"))
    parser.add_argument("--folder", type=Path, help="where to work; what lies there is used again")
    given = parser.parse_args()
    if given.folder is not None:
        given.folder.mkdir(parents=True, exist_ok=True)
    with nullcontext(given.folder) if given.folder is not None else tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), given.rounds)
        for part in (overhead, tracing):
            if given.only in (None, part.__name__):
                part(bench)
        if given.only in (None, "logging"):
            logging(bench, given.mlflow)
        if given.only in (None, "lists"):
            lists(bench, given.runs, given.mlflow)


if __name__ == "__main__":
    main()
