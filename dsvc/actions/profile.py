"""Say what the columns of a table look like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dsvc.errors import RequestError

if TYPE_CHECKING:
    from dsvc.monitoring.profile import Profile


class UnreadableTableError(RequestError):
    """A table that cannot be read, or not here."""


def profile(path: Path, *, header: bool = True, target: str = "", drop: Sequence[str] = ()) -> Profile:
    """Return the profile of a file in CSV or Parquet, read in pieces of bounded size.

    `target` names the column with what a model shall answer; it stands among the outputs.

    Raises:
        UnreadableTableError. NoTableError, TooManyColumnsError, MissingColumnError.
    """
    try:
        from dsvc.monitoring.tables import profile_file
    except ModuleNotFoundError as error:
        raise UnreadableTableError(f"profiles need {error.name}", hint="pip install 'dsvc[serve]'") from error
    try:
        return profile_file(path, header=header, target=target, drop=drop)
    except OSError as error:
        raise UnreadableTableError(f"{path} cannot be read: {error.strerror}") from error
