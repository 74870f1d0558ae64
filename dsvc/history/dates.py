"""Moments as people write them: `yesterday`, `2 weeks ago`, `2026-05-01 12:00`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from dsvc.errors import UsageError

_UNITS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=30),
    "year": timedelta(days=365),
}
_AGO = re.compile(r"(\d+|an?|one) (second|minute|hour|day|week|month|year)s?(?:,? | and )?")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MOST = 1_000_000  # units of time; more of them end at _EARLIEST anyway
_EARLIEST = datetime(1970, 1, 1)  # noqa: DTZ001  (the zone of `now` is put in)


class BadDateError(UsageError):
    """A text that is not understood as a date or a time."""


def parse_date(text: str, now: datetime) -> int:
    """Return the moment that `text` names, in microseconds since 1970 UTC.

    Understood are `now`, `today` and a date alone (its first moment), `yesterday` (24 hours ago), `3 days ago`,
    `1 week 2 days ago`, as in git also without `ago` and with dots in place of spaces, names of weekdays, ISO dates
    with time and zone, `@SECONDS`. What has no zone is in the zone of `now`, which is aware.

    Raises:
        BadDateError: for anything else.
    """
    words = " ".join(text.strip().lower().replace("_", " ").split())
    if re.fullmatch(r"@\d{1,12}", words):
        return int(words[1:]) * 1_000_000
    moment = _relative(words, now) or _absolute(words, now)
    if moment is None and "." in words:
        moment = _relative(words.replace(".", " "), now)
    if moment is None:
        raise BadDateError(f"{text!r} is not understood as a date", hint="write it as 2026-05-01 or '3 days ago'")
    return round(moment.timestamp() * 1_000_000)


def _relative(words: str, now: datetime) -> datetime | None:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    match words.removeprefix("last "):
        case "now":
            return now
        case "today" | "midnight":
            return midnight
        case "yesterday":
            return now - timedelta(days=1)
        case "noon":
            return midnight + timedelta(hours=12 if now.hour >= 12 else -12)
        case day if day in _DAYS:
            return now - timedelta(days=(now.weekday() - _DAYS.index(day) - 1) % 7 + 1)
    if words.startswith("last ") and words[5:] in _UNITS:
        return now - _UNITS[words[5:]]
    spans, end = [], 0
    while found := _AGO.match(words, end):
        count = int(found[1]) if found[1].isdigit() else 1
        spans.append(min(count, _MOST) * _UNITS[found[2]])
        end = found.end()
    if not spans or words[end:] not in ("", "ago"):
        return None
    try:
        return max(now - sum(spans, timedelta()), _EARLIEST.replace(tzinfo=now.tzinfo))
    except OverflowError:
        return _EARLIEST.replace(tzinfo=now.tzinfo)


def _absolute(words: str, now: datetime) -> datetime | None:
    words = re.sub(r" (?=[+-]\d\d:?\d\d$)", "", words)
    words = re.sub(r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})", r"\1-\2-\3", words)
    words = re.sub(r"^(\d{4})-(\d{1,2})-(\d{1,2})(?=\D|$)", lambda d: f"{d[1]}-{d[2]:0>2}-{d[3]:0>2}", words)
    try:
        moment = datetime.fromisoformat(words.upper())
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=now.tzinfo)
    except ValueError:
        return None
