"""`dsvc://REV/path`: libraries read files of commits without a checkout."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import random
import shutil
import threading
from pathlib import Path

import pytest

from dsvc.errors import IntegrityError, RemoteError
from tests.commands.conftest import CommandLine, cli
from tests.together import together

__all__ = ["cli"]

fsspec = pytest.importorskip("fsspec", reason="needs the extra fsspec")
pandas = pytest.importorskip("pandas", reason="pandas is not installed")


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


BIG = noise(1, 5_000_000)


@pytest.fixture
def project(cli: CommandLine) -> CommandLine:
    cli.ok("init", "-q")
    table = pandas.DataFrame({"n": range(50_000), "word": [f"w{n % 97}" for n in range(50_000)]})
    data = cli.directory / "data"
    data.mkdir()
    table.to_parquet(data / "table.parquet", row_group_size=5_000)
    table.to_csv(data / "table.csv", index=False)
    (data / "big.bin").write_bytes(BIG)
    (data / "empty").touch()
    os.symlink("table.csv", data / "latest.csv")
    os.symlink("../../elsewhere", data / "out")
    (cli.directory / "notes.txt").write_text("one\ntwo\n")
    (cli.directory / "run.sh").write_text("#!/bin/sh\n")
    (cli.directory / "run.sh").chmod(0o755)
    cli.ok("commit", "-qm", "first")
    cli.ok("branch", "feature/x")
    for path in (data, cli.directory / "notes.txt"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    cli.ok("commit", "-qm", "without")
    return cli


@pytest.fixture
def files(project):
    found = fsspec.filesystem("dsvc", repo=str(project.directory), skip_instance_cache=True)
    yield found
    found.close()


def test_paths_and_folders(files, project):
    assert files.ls("HEAD~1/data", detail=False) == [
        f"HEAD~1/data/{name}" for name in ("big.bin", "empty", "latest.csv", "out", "table.csv", "table.parquet")
    ]
    assert files.info("dsvc://HEAD~1/data")["type"] == "directory"
    assert files.size("HEAD~1/data/big.bin") == len(BIG)
    assert files.info("HEAD~1/run.sh")["executable"] is True
    assert files.info("HEAD~1/data/latest.csv")["size"] == files.size("HEAD~1/data/table.csv")
    assert [row["type"] for row in files.ls("HEAD~1/data") if row.get("islink")] == ["file", "other"]
    assert set(files.ls("", detail=False)) == {"main", "feature%2Fx"}
    assert files.cat("feature%2Fx/notes.txt") == b"one\ntwo\n"
    assert sorted(files.glob("HEAD~1/data/*.csv")) == ["HEAD~1/data/latest.csv", "HEAD~1/data/table.csv"]
    assert files.find("HEAD~1", maxdepth=1) == ["HEAD~1/.dsvcignore", "HEAD~1/notes.txt", "HEAD~1/run.sh"]
    assert files.exists("HEAD~1/notes.txt")
    assert not files.exists("HEAD/notes.txt")
    for path in ("nothing/x", "HEAD/nothing", "HEAD~1/data/out", "HEAD~1/notes.txt/below"):
        with pytest.raises(FileNotFoundError):
            files.info(path)
    with pytest.raises(IsADirectoryError):
        files.open("HEAD~1/data")
    with pytest.raises(NotADirectoryError):
        list(files._files.tree("HEAD~1").list(b"notes.txt"))
    assert files.modified("HEAD~1/notes.txt").year == 2026


def test_every_way_to_read(files):
    path = "HEAD~1/data/big.bin"
    with files.open(path) as file:
        assert (file.read(10), file.tell(), file.size) == (BIG[:10], 10, len(BIG))
        assert file.seek(-7, io.SEEK_END) == len(BIG) - 7
        assert file.read() == BIG[-7:]
        assert file.read(5) == b""
    assert files.cat_file(path, start=-20, end=-10) == BIG[-20:-10]
    ranges = files.cat_ranges([path] * 2, [5, 4_000_000], [70_000, 4_000_001])
    assert ranges == [BIG[5:70_000], BIG[4_000_000:4_000_001]]
    rng = random.Random(3)
    content = files._files.tree("HEAD~1").open(b"data/big.bin")
    for _ in range(200):
        start, length = rng.randrange(len(BIG) + 10), rng.choice((1, 1000, 70_000, 600_000))
        assert content.read(start, length) == BIG[start : start + length]
    with files.open("HEAD~1/notes.txt", "r") as text:
        assert text.readlines() == ["one\n", "two\n"]
    assert files.cat("HEAD~1/data/empty") == b""


def test_nothing_can_be_written(files):
    with pytest.raises(OSError, match="commits do not change"):
        files.open("HEAD/new", "wb")
    for refused, *arguments in ((files.rm, "HEAD~1/notes.txt"), (files.mkdir, "HEAD/d"), (files.pipe, "HEAD/n", b"")):
        with pytest.raises(OSError, match="commits do not change"):
            refused(*arguments)


def test_a_name_keeps_its_meaning_until_it_is_looked_up_anew(files, project):
    assert not files.exists("main/later")
    (project.directory / "later").write_text("x")
    project.ok("commit", "-qm", "later")
    assert not files.exists("main/later")
    files.invalidate_cache()
    assert files.cat("main/later") == b"x"


def test_the_cache_is_bounded_and_many_threads_read(project):
    files = fsspec.filesystem("dsvc", repo=str(project.directory), cache_bytes=1 << 20, read_ahead=1 << 20)
    wrong = []

    def read(seed: int) -> None:
        rng = random.Random(seed)
        with files.open("HEAD~1/data/big.bin") as file:
            for _ in range(30):
                start = file.seek(rng.randrange(len(BIG)))
                if file.read(300_000) != BIG[start : start + 300_000]:
                    wrong.append(start)

    together(read)
    assert not wrong
    assert 0 < files._files._reader.cached <= 1 << 20
    files.close()


inherited = []  # what a forked process has of its parent


def _first_bytes(path: str) -> bytes:
    return inherited[-1].cat_file(path, end=100)


def test_it_can_be_pickled_and_used_after_a_fork(files, project):
    again = pickle.loads(pickle.dumps(files))
    assert again.cat("HEAD~1/notes.txt") == b"one\ntwo\n"
    with files.open("HEAD~1/data/big.bin") as file:
        file.read(1 << 20)  # its threads are not there in a forked process
    inherited.append(files)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_first_bytes, ["HEAD~1/data/big.bin"] * 4, chunksize=1) == [BIG[:100]] * 4
    assert files.cat_file("HEAD~1/data/big.bin", start=3_000_000) == BIG[3_000_000:]
    again.close()


def test_pandas(project):
    options = {"repo": str(project.directory)}
    table = pandas.read_parquet("dsvc://HEAD~1/data/table.parquet", storage_options=options)
    assert len(table) == 50_000
    assert pandas.read_csv("dsvc://HEAD~1/data/latest.csv", storage_options=options).equals(table)


def test_pyarrow_reads_a_column_and_not_the_rest(files):
    dataset = pytest.importorskip("pyarrow.dataset", reason="pyarrow is not installed")
    found = dataset.dataset("HEAD~1/data/table.parquet", filesystem=files)
    assert found.to_table(columns=["n"])["n"].to_pylist() == list(range(50_000))
    assert found.count_rows(filter=dataset.field("word") == "w3") == len(range(3, 50_000, 97))


def test_threads_share_an_open_file(files):
    """As DuckDB does: each goes somewhere and reads there, in two calls."""
    wrong = []
    with files.open("HEAD~1/data/big.bin") as file:

        def read(seed: int) -> None:
            rng = random.Random(seed)
            for _ in range(60):
                start, buffer = file.seek(rng.randrange(len(BIG) - 3000)), bytearray(1500)
                gone.wait(20)
                if file.tell() != start:
                    wrong.append(start)
                if file.read(1000) != BIG[start : start + 1000]:
                    wrong.append(start)
                gone.wait(20)
                file.seek(start)
                gone.wait(20)
                file.readinto(buffer)
                if buffer != BIG[start : start + 1500]:
                    wrong.append(start)

        gone = threading.Barrier(4)
        together(read)
    assert not wrong


def test_a_thread_goes_on_where_another_stopped(files):
    with files.open("HEAD~1/data/big.bin") as file:
        file.seek(1000)
        read: list[bytes] = []
        thread = threading.Thread(target=lambda: read.append(file.read(10)))
        thread.start()
        thread.join()
        assert read == [BIG[1000:1010]]
        assert file.read(10) == BIG[1010:1020]
        assert file.seek(5, io.SEEK_CUR) == file.tell() == 1025
        assert file.read(1) == BIG[1025:1026]
        assert file.seek(0, io.SEEK_END) == file.tell() == len(BIG)
        assert file.read(1) == b""
        assert BIG[7:].startswith(file.read1(10) if file.seek(7) else b"-")


def test_duckdb(files):
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    with duckdb.connect() as database:
        database.register_filesystem(files)
        query = "select count(*), max(n) from '{}' where word = 'w3'"
        expected = (len(range(3, 50_000, 97)), max(range(3, 50_000, 97)))
        for name in ("table.parquet", "table.csv"):
            assert database.execute(query.format(f"dsvc://HEAD~1/data/{name}")).fetchone() == expected


def test_polars(project):
    polars = pytest.importorskip("polars", reason="polars is not installed")
    with fsspec.open("dsvc://HEAD~1/data/table.parquet", repo=str(project.directory)) as file:
        assert polars.read_parquet(file)["n"].sum() == sum(range(50_000))


def test_polars_by_address_and_lazily(files, project, monkeypatch):
    polars = pytest.importorskip("polars", reason="polars is not installed")
    dataset = pytest.importorskip("pyarrow.dataset", reason="pyarrow is not installed")
    monkeypatch.chdir(project.directory)
    table = polars.read_parquet("dsvc://HEAD~1/data/table.parquet", use_pyarrow=True)
    assert table["n"].sum() == sum(range(50_000))
    lazy = polars.scan_pyarrow_dataset(dataset.dataset("HEAD~1/data/table.parquet", filesystem=files))
    assert lazy.filter(polars.col("n") < 5).collect()["n"].to_list() == [0, 1, 2, 3, 4]


def test_what_is_not_there_is_named_by_its_address(files):
    for ask in (files.open, files.info, files.ls, files.cat_file):
        with pytest.raises(FileNotFoundError, match="dsvc://HEAD~1/data/none"):
            ask("dsvc://HEAD~1/data/none")


class Images:
    """What a map-style data set is to PyTorch: a length and items."""

    def __init__(self, repo: str) -> None:
        self.files = fsspec.filesystem("dsvc", repo=repo)
        self.paths = self.files.glob("HEAD~1/data/*.csv")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> int:
        return len(self.files.cat_file(self.paths[number]))


def _item(data: Images, number: int) -> int:
    return data[number]


def test_a_data_set_travels_to_workers(project):
    data = Images(str(project.directory))
    expected = [data[0], data[1]]
    torch = None
    try:
        import torch.utils.data as torch
    except ImportError:
        pass
    if torch is not None:
        assert list(torch.DataLoader(data, batch_size=None, num_workers=2)) == expected
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.starmap(_item, [(data, 0), (data, 1)]) == expected


def test_a_partial_clone_fetches_what_is_read(project, tmp_path):
    project.ok("clone", "--no-data", str(project.directory), str(tmp_path / "partial"))
    offline = fsspec.filesystem("dsvc", repo=str(tmp_path / "partial"), offline=True)
    assert offline.size("HEAD~1/data/big.bin") == len(BIG)
    with pytest.raises(RemoteError):
        offline.cat("HEAD~1/data/big.bin")
    offline.close()
    files = fsspec.filesystem("dsvc", repo=str(tmp_path / "partial"))
    assert files.cat("HEAD~1/data/big.bin") == BIG
    files.close()
    shutil.move(project.directory, tmp_path / "moved")
    again = fsspec.filesystem("dsvc", repo=str(tmp_path / "partial"), skip_instance_cache=True)
    assert again.cat("HEAD~1/data/big.bin") == BIG
    again.close()


def test_damage_is_an_error_and_never_data(files, project):
    for pack in (project.directory / ".dsvc/store/packs").iterdir():
        if pack.stat().st_size > 4_000_000:
            pack.chmod(0o644)
            with pack.open("r+b") as file:
                file.seek(2_000_000)
                file.write(b"damage")
    with pytest.raises(IntegrityError):
        files.cat("HEAD~1/data/big.bin")


def test_the_current_folder_is_the_repository(project, monkeypatch, tmp_path):
    monkeypatch.chdir(project.directory)
    with fsspec.open("dsvc://HEAD~1/notes.txt", "rt") as file:
        assert file.read() == "one\ntwo\n"
    monkeypatch.chdir(tmp_path.parent)
    with pytest.raises(Exception, match="is in no dsvc repository"):
        fsspec.open("dsvc://HEAD~1/notes.txt").open()
    assert Path.cwd() == tmp_path.parent
