"""Compare a table with what a model was trained on, and hand what was found to a Pushgateway."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dsvc.actions.model import FoundVersion, find_model
from dsvc.actions.profile import UnreadableTableError
from dsvc.errors import RequestError
from dsvc.monitoring.profile import parse_profile
from dsvc.monitoring.pushgateway import push
from dsvc.monitoring.rules import PSI, Watch
from dsvc.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.monitoring.batch import CheckedColumn

MIN_SAMPLES = 200  # as servers have it


class NoProfileError(RequestError):
    """A version of a model that has no profile to compare with."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A version of a model, the rows of the table, its columns, and the PSI above which one is drifting."""

    found: FoundVersion
    rows: int
    columns: tuple[CheckedColumn, ...]
    psi: float

    @property
    def drifting(self) -> tuple[CheckedColumn, ...]:
        """The columns that are above."""
        return tuple(each for each in self.columns if each.drift.psi > self.psi)


def monitor_check(
    workspace: Workspace,
    text: str,
    path: Path,
    *,
    header: bool = True,
    psi: float = PSI,
    min_samples: int = MIN_SAMPLES,
) -> CheckResult:
    """Compare a file in CSV or Parquet, read in pieces, with the profile of `NAME`, `NAME@3` or `NAME@prod`.

    Raises:
        UnknownModelError. NoProfileError. UnreadableTableError. NoTableError. MissingColumnError. TooFewRowsError.
    """
    found = find_model(workspace, text)
    version = found.version
    if version.metadata.get("profile") is None:
        raise NoProfileError(
            f"{version.name}@{version.version} has no profile",
            hint="dsvc model add --profile TABLE makes a version with one, as run.profile(table) does in training",
        )
    profile = parse_profile(version.metadata["profile"])
    try:
        from dsvc.monitoring.batch import check_file
    except ModuleNotFoundError as error:
        raise UnreadableTableError(f"profiles need {error.name}", hint="pip install 'dsvc[serve]'") from error
    try:
        rows, columns = check_file(profile, path, header=header, min_samples=min_samples)
    except OSError as error:
        raise UnreadableTableError(f"{path} cannot be read: {error.strerror}") from error
    return CheckResult(found, rows, tuple(columns), psi)


def push_check(result: CheckResult, address: str) -> None:
    """Hand the series of drift that a server has to a Pushgateway; they replace those of this model that it has.

    Raises:
        PushgatewayError. UsageError: for what is no address.
    """
    try:
        from dsvc.monitoring.metrics import drift_families, info_family

        version = result.found.version
        model = {"model": version.name, "version": str(version.version)}
        ids = {
            "commit": version.commit, "run": version.run, "environment": version.environment,
            "content": version.entry.id,
        }  # fmt: skip
        info = {name: value.hex() if value is not None else "" for name, value in ids.items()}
        drifts = [(each.side, each.column, each.drift) for each in result.columns]
        families = [
            info_family(model, {**info, "framework": version.framework or ""}),
            *drift_families(model, result.rows, drifts, enough=True),
        ]
        push(address, Watch(version.name).job, {"model": version.name}, families)
    except ModuleNotFoundError as error:
        raise UnreadableTableError(f"--push needs {error.name}", hint="pip install 'dsvc[serve]'") from error
