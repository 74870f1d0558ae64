"""The backend in a bucket of a real server keeps the contract."""

from pathlib import Path

import pytest

from dsvc.remotes.s3.backend import open_s3
from dsvc.remotes.s3.settings import S3Settings
from dsvc.storage.conformance import CHECKS
from tests.servers.seaweed import Seaweed


@pytest.mark.parametrize("prefix", ["", "team/project"], ids=["no prefix", "prefix"])
@pytest.mark.parametrize("name", CHECKS)
def test_s3(name: str, prefix: str, seaweed: Seaweed, tmp_path: Path) -> None:
    settings = S3Settings(seaweed.bucket(), prefix)
    CHECKS[name](lambda: open_s3(settings, environment=seaweed.environment), tmp_path)
