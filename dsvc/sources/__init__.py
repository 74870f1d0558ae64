"""Sources: objects in buckets and files on web servers, from which content is imported."""

from dsvc.sources.address import BadSourceError, SourceAddress, parse_source
from dsvc.sources.opening import Sources
from dsvc.sources.reading import Stream
from dsvc.sources.source import Source, SourceChangedError, SourceError, SourceMissingError

__all__ = [
    "BadSourceError",
    "Source",
    "SourceAddress",
    "SourceChangedError",
    "SourceError",
    "SourceMissingError",
    "Sources",
    "Stream",
    "parse_source",
]
