"""Stores for the tests of objects."""

import pytest

from dsvc.objects.store import ObjectStore
from dsvc.storage.memory import MemoryBackend


@pytest.fixture
def memory_store(tmp_path):
    store = ObjectStore(MemoryBackend(), lambda: tmp_path)
    yield store
    store.close()
