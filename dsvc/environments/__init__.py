"""Environments: what an interpreter runs with, recorded, compared, written for other tools, and made again."""

from dsvc.environments.difference import Difference, differences
from dsvc.environments.encoding import decode_environment, encode_environment, packages_key
from dsvc.environments.environment import (
    CondaPackage,
    Container,
    Distribution,
    Environment,
    Machine,
    Python,
    Source,
    System,
    SystemPackage,
)
from dsvc.environments.interpreter import InterpreterError, find_interpreter, interpreter_of
from dsvc.environments.lock import Locked, lock, lock_environment

__all__ = [
    "CondaPackage",
    "Container",
    "Difference",
    "Distribution",
    "Environment",
    "InterpreterError",
    "Locked",
    "Machine",
    "Python",
    "Source",
    "System",
    "SystemPackage",
    "decode_environment",
    "differences",
    "encode_environment",
    "find_interpreter",
    "interpreter_of",
    "lock",
    "lock_environment",
    "packages_key",
]
