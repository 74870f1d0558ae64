"""Moments as text: in the zone in which they were recorded, or relative to now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MINUTE: Final = 60


def date_text(time: int, zone: int, *, style: str, now: datetime) -> str:
    """A moment (microseconds since 1970 UTC, recorded `zone` minutes east of it) in one of git's styles.

    `local` uses the zone of `now`. A moment that no calendar here holds is shown as seconds.
    """
    seconds = time // 1_000_000
    if style == "unix":
        return str(seconds)
    if style == "raw":
        return f"{seconds} {_zone(zone)}"
    if style == "relative":
        return relative_text(seconds, int(now.timestamp()))
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
        here = moment.astimezone(now.tzinfo) if style == "local" else moment.astimezone(_zone_info(zone))
    except (OverflowError, ValueError, OSError):
        return f"{seconds} {_zone(zone)}"
    clock = f"{here.hour:02}:{here.minute:02}:{here.second:02}"
    day = f"{here.year:04}-{here.month:02}-{here.day:02}"
    match style:
        case "iso":
            return f"{day} {clock} {_zone(zone)}"
        case "iso-strict":
            offset = "Z" if zone == 0 else f"{_zone(zone)[:3]}:{_zone(zone)[3:]}"
            return f"{day}T{clock}{offset}"
        case "short":
            return day
        case "rfc":
            return f"{_DAYS[here.weekday()]}, {here.day} {_MONTHS[here.month - 1]} {here.year} {clock} {_zone(zone)}"
    text = f"{_DAYS[here.weekday()]} {_MONTHS[here.month - 1]} {here.day} {clock} {here.year}"
    return text if style == "local" else f"{text} {_zone(zone)}"


def relative_text(seconds: int, now: int) -> str:
    """How long ago a moment was, rounded as git does: `3 days ago`, `1 year, 2 months ago`."""
    if now < seconds:
        return "in the future"
    past = now - seconds
    if past < 90:
        return _count(past, "second")
    minutes = (past + 30) // _MINUTE
    if minutes < 90:
        return _count(minutes, "minute")
    hours = (minutes + 30) // 60
    if hours < 36:
        return _count(hours, "hour")
    days = (hours + 12) // 24
    if days < 14:
        return _count(days, "day")
    if days < 70:
        return _count((days + 3) // 7, "week")
    if days < 365:
        return _count((days + 15) // 30, "month")
    if days < 1825:
        months = (days * 12 * 2 + 365) // (365 * 2)
        years, months = divmod(months, 12)
        if months:
            return f"{years} year{'s' if years > 1 else ''}, {_count(months, 'month')}"
        return _count(years, "year")
    return _count((days + 183) // 365, "year")


def iso_text(time: int, zone: int) -> str:
    """A moment for JSON: ISO 8601 with its zone."""
    return date_text(time, zone, style="iso-strict", now=datetime.fromtimestamp(0, UTC))


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'} ago"


def _zone(minutes: int) -> str:
    sign, minutes = ("-" if minutes < 0 else "+"), abs(minutes)
    return f"{sign}{minutes // 60:02}{minutes % 60:02}"


def _zone_info(minutes: int) -> timezone:
    return timezone(timedelta(minutes=minutes)) if abs(minutes) < 24 * 60 else UTC
