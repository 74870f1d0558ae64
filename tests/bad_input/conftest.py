"""The command line as the tests of the commands have it, and a check that an answer is an error in words."""

import importlib.util
import sys
from pathlib import Path

import pytest

_file = Path(__file__).parent.parent / "commands" / "conftest.py"
_spec = importlib.util.spec_from_file_location("commands_conftest", _file)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _module
_spec.loader.exec_module(_module)
cli = _module.cli


@pytest.fixture
def refused():
    """Return a function that asserts a clear error with one of the given exit codes and returns its text."""

    def check(answer, *codes):
        assert answer.code in codes, f"exit code {answer.code}: {answer.err}{answer.out}"
        assert "Traceback" not in answer.err
        assert "bug in dsvc" not in answer.err
        assert "dsvc: " in answer.err
        return answer.err

    return check
