"""The journal of a run, as several threads write to it."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

from dsvc.runs.journal import EventLog, read_events


def test_threads_whose_first_events_meet_write_to_one_file(tmp_path, monkeypatch):
    log, meet, plain = EventLog(tmp_path), threading.Barrier(2), os.open

    def open_together(path, *rest, **more):
        if "events-" in os.fspath(path):
            with suppress(threading.BrokenBarrierError):  # only the first event of a thread comes here
                meet.wait(10)
        return plain(path, *rest, **more)

    monkeypatch.setattr(os, "open", open_together)
    threads = [threading.Thread(target=log.append, args=(("param", f"n{n}", n),)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for value in range(50):
        log.append(("param", "later", value))
    log.close()
    assert len(list(tmp_path.iterdir())) == 1
    found = list(read_events(tmp_path))
    assert sorted(name for _, name, _ in found[:2]) == ["n0", "n1"]
    assert [value for _, name, value in found if name == "later"] == list(range(50))
