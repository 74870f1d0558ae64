from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from dsvc.history.dates import BadDateError, parse_date

NOW = datetime(2026, 5, 6, 15, 30, tzinfo=timezone(timedelta(hours=2)))  # a Wednesday


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("now", "2026-05-06T15:30:00+02:00"),
        ("yesterday", "2026-05-05T15:30:00+02:00"),
        ("today", "2026-05-06T00:00:00+02:00"),
        ("noon", "2026-05-06T12:00:00+02:00"),
        ("2 weeks ago", "2026-04-22T15:30:00+02:00"),
        ("2.weeks.ago", "2026-04-22T15:30:00+02:00"),
        ("2.weeks", "2026-04-22T15:30:00+02:00"),
        ("1 day 2 hours ago", "2026-05-05T13:30:00+02:00"),
        ("an hour ago", "2026-05-06T14:30:00+02:00"),
        ("last week", "2026-04-29T15:30:00+02:00"),
        ("monday", "2026-05-04T15:30:00+02:00"),
        ("last wednesday", "2026-04-29T15:30:00+02:00"),
        ("2026-05-01", "2026-05-01T00:00:00+02:00"),
        ("2026/5/1", "2026-05-01T00:00:00+02:00"),
        ("2026-05-01 12:00", "2026-05-01T12:00:00+02:00"),
        ("2026-05-01T12:00:30Z", "2026-05-01T12:00:30+00:00"),
        ("2026-05-01 12:00:00 -0300", "2026-05-01T12:00:00-03:00"),
        ("@1700000000", "2023-11-14T22:13:20+00:00"),
        ("9999999999 years ago", "1970-01-01T00:00:00+02:00"),
    ],
)
def test_moments(text, wanted):
    assert parse_date(text, NOW) == datetime.fromisoformat(wanted).timestamp() * 1_000_000


@pytest.mark.parametrize("text", ["", "ago", "3 fortnights ago", "2026-13-01", "soon", "3 days from now"])
def test_what_is_not_understood(text):
    with pytest.raises(BadDateError):
        parse_date(text, NOW)
