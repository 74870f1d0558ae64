"""Say what the columns of a table look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dsvc.errors import RequestError
from dsvc.runs.events import META
from dsvc.runs.journal import EventLog, journal_around

if TYPE_CHECKING:
    from dsvc.monitoring.profile import Profile


class UnreadableTableError(RequestError):
    """A table that cannot be read, or not here."""


class ProfileLostError(RequestError):
    """A run that cannot keep the profile."""


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


def keep_profile(found: Profile, environment: Mapping[str, str]) -> bool:
    """Keep a profile with the run in which this process was started, as `run.profile` does; say whether there is one.

    Raises:
        ProfileLostError: when the disk refuses.
    """
    from dsvc.monitoring.profile import profile_fields

    journal = journal_around(environment)
    if journal is None:
        return False
    log = EventLog(journal)
    try:
        log.append((META, "profile", profile_fields(found)))
    except OSError as error:
        raise ProfileLostError(f"the run cannot keep the profile: {error.strerror}") from error
    finally:
        log.close()
    return True
