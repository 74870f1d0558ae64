"""The `dsvc serve` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dsvc.commands.context import Context
from dsvc.commands.options import Json, Quiet
from dsvc.errors import DsvcError, UsageError


def command(
    context: Context,
    model: Annotated[str, typer.Argument(metavar="NAME[@VERSION|@STAGE]", help="The model to serve.")],
    *,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("-p", "--port", metavar="N", help="The port; 0 takes a free one.")] = 8080,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Serve it under another name.")] = "",
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Run code that comes with the model though nobody signed it.")
    ] = False,
    token_file: Annotated[
        str | None, typer.Option("--token-file", metavar="FILE", help="Ask for the bearer token in this file.")
    ] = None,
    metrics_token_file: Annotated[
        str | None, typer.Option("--metrics-token-file", metavar="FILE", help="A token that opens /metrics alone.")
    ] = None,
    open_metrics: Annotated[bool, typer.Option("--open-metrics", help="/metrics needs no token.")] = False,
    tls_cert: Annotated[str | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate (PEM).")] = None,
    tls_key: Annotated[str | None, typer.Option("--tls-key", metavar="FILE", help="Key of the certificate.")] = None,
    max_body: Annotated[
        int, typer.Option("--max-body", metavar="BYTES", help="Longest body of a request.")
    ] = 16 << 20,
    monitoring: Annotated[
        bool, typer.Option("--monitoring/--no-monitoring", help="Watch inputs and outputs for /metrics.")
    ] = True,
    window: Annotated[int, typer.Option("--window", metavar="N", help="Rows that drift is measured on.")] = 1000,
    min_samples: Annotated[
        int, typer.Option("--min-samples", metavar="N", help="Rows below which drift is not told.")
    ] = 200,
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", help="Join up to N rows of several requests in one call.")
    ] = 0,
    batch_wait: Annotated[
        float, typer.Option("--batch-wait", metavar="MS", help="Milliseconds to wait for more rows.")
    ] = 0.0,
    log_predictions: Annotated[
        float, typer.Option("--log-predictions", metavar="SHARE", help="Keep this share of requests for training.")
    ] = 0.0,
    log_dir: Annotated[
        str | None, typer.Option("--log-dir", metavar="DIR", help="Where; else on the branch feedback/NAME.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Load the model, say what it is, and end.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Answer requests with a model, until it is interrupted.

    It speaks the Open Inference Protocol (POST /v2/models/NAME/infer) and TensorFlow Serving's form (POST
    /v1/models/NAME:predict with 'instances'). /metrics is for Prometheus, /provenance says which commit, run and data
    the model came from. The address is printed when it answers.

    With --log-predictions a share of the requests is kept with the answers, and committed as Parquet on the branch
    feedback/NAME when the server ends; 'dsvc monitor collect NAME' does it before that.

    A pickle, and any other code that comes with a model, is loaded only when a commit that an allowed signer signed
    holds it, or with --allow-pickle.
    """
    from dsvc.actions.serve import ServeResult, serve
    from dsvc.serving.options import checked, read_token

    at = context.directory
    options = checked(
        at,
        host=host,
        port=port,
        name=name,
        allow_pickle=allow_pickle,
        token=read_token(at / token_file) if token_file else context.environment.get("DSVC_SERVE_TOKEN", ""),
        metrics_token=(
            read_token(at / metrics_token_file)
            if metrics_token_file
            else context.environment.get("DSVC_SERVE_METRICS_TOKEN", "")
        ),
        open_metrics=open_metrics,
        tls_cert=at / tls_cert if tls_cert else None,
        tls_key=at / tls_key if tls_key else None,
        max_body=max_body,
        no_monitoring=not monitoring,
        window=window,
        min_samples=min_samples,
        batch=batch,
        batch_wait=batch_wait,
        log_predictions=log_predictions,
        log_dir=at / log_dir if log_dir else _spool(context, name or model) if log_predictions else None,
    )
    if quiet and json:
        raise UsageError("--quiet leaves nothing of --json", hint="leave --quiet out")

    def ready(result: ServeResult) -> None:
        version = result.found.version
        if json:
            context.out.json(
                "dsvc.serve",
                {
                    "name": version.name,
                    "number": version.version,
                    "framework": result.framework,
                    "outputs": list(result.outputs),
                    "trusted": result.trusted,
                    "watched": result.watched,
                    "address": result.address,
                },
            )
        elif result.address is None:
            watched = f", {result.watched} columns are watched" if result.watched else ""
            context.out.line(f"{version.name} {version.version} can be served ({result.framework}{watched})")
        else:
            if not quiet:
                context.out.note(f"serving {version.name} {version.version}; interrupt to end")
            context.out.line(result.address)
        context.out.flush()

    serve(context.workspace(), model, options, check=check, ready=ready)
    if log_predictions and not log_dir and not check:
        _collect(context, name or model, quiet=quiet)


def _spool(context: Context, model: str) -> Path:
    from dsvc.actions.monitor_collect import spool

    return spool(context.workspace(), model.partition("@")[0])


def _collect(context: Context, model: str, *, quiet: bool) -> None:
    """Take what was logged into its branch; others may have changed the repository while it was served."""
    from dsvc.actions.monitor_collect import collect

    context.finish()
    name = model.partition("@")[0]
    try:
        found = collect(context.workspace(), name)
    except DsvcError as error:
        context.out.warn(f"what was logged is not collected yet: {error}", hint=f"dsvc monitor collect {name}")
        return
    if found.files and not quiet:
        context.out.note(f"{found.rows} rows are on the branch {found.branch.removeprefix('heads/')}")
