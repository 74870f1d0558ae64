"""The option `--single-writer`, for buckets whose store does not keep writers apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dsvc.commands.context import Context
from dsvc.errors import UsageError
from dsvc.remotes.address import S3Address, parse_address
from dsvc.remotes.settings import SINGLE_WRITER

if TYPE_CHECKING:
    from dsvc.config.keys import Value

SingleWriter = Annotated[bool, typer.Option("--single-writer", help="This machine alone writes to that bucket.")]


def single_writer_options(context: Context, address: str, *, single_writer: bool) -> dict[str, Value]:
    """The key of a remote's section that the option stands for.

    Raises:
        UsageError: for a place that is no bucket.
    """
    if not single_writer:
        return {}
    if not isinstance(parse_address(address, directory=context.directory), S3Address):
        raise UsageError("--single-writer is for buckets: other places keep writers apart", hint="leave it out")
    return {SINGLE_WRITER: True}
