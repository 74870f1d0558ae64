"""What a store or the way to it answered, in words: every exception of botocore is translated here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from dsvc.errors import RemoteError

Reason = Literal[
    "access denied",
    "clock",
    "credentials",
    "expired",
    "failing",
    "full",
    "no bucket",
    "refused",
    "slow down",
    "time-out",
    "unreachable",
]
Kind = Literal["absent", "conflict", "contended", "range", "no upload", "throttled", "lost", "unsent", "refused"]


class S3Error(RemoteError):
    """A bucket refused, failed or could not be reached; `reason` says which, also in `details`."""

    def __init__(self, message: str, *, reason: Reason, hint: str | None, target: Target, code: str = "") -> None:
        details = {"reason": reason, "url": target.url, "endpoint": target.endpoint, "code": code}
        super().__init__(message, hint=hint, details=details)
        self.reason = reason


class UnconditionalStoreError(RemoteError):
    """A store ignores or refuses conditions on writes, so that writers could overwrite each other's work."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go, for messages."""

    url: str
    endpoint: str


_THROTTLED: Final = frozenset(
    {
        "SlowDown", "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled",
        "RequestThrottledException", "RequestLimitExceeded", "TooManyRequests", "TooManyRequestsException",
        "BandwidthLimitExceeded", "ServiceUnavailable", "EC2ThrottledException", "Busy",
    }
)  # fmt: skip
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"})
_WRONG: Final = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidClientTokenId"})
_PASSING: Final = frozenset(
    {
        "RequestTimeout", "InternalError", "IncompleteBody",
        "BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch",  # changed on the way
    }
)  # fmt: skip
_RIGHTS: Final = (
    "the account needs s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload and "
    "s3:ListMultipartUploadParts on the prefix, s3:ListBucket and s3:ListBucketMultipartUploads on the bucket"
)
_FULL: Final = frozenset(
    {"XMinioStorageFull", "InsufficientStorage", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "EntityTooLarge"}
)


def refuse_open_end(response_dict: Mapping[str, Any], operation_model: Any, **_: object) -> None:
    """Take an answer that ends with its connection for a broken one: nothing tells whether all of it has come.

    What has no body need not tell a length: answers to HEAD, and those that say so by their status.
    """
    from botocore.exceptions import HTTPClientError

    headers, status = response_dict["headers"], response_dict["status_code"]
    if operation_model.http.get("method") == "HEAD" or status == 204 or status >= 300:
        return
    if not headers.get("content-length", "").isdigit() and "transfer-encoding" not in headers:
        raise HTTPClientError(error="an answer does not tell its length")


def named_in(answer: Mapping[str, Any], what: str) -> Any:
    """Return what an answer of the store always names, an ETag or a length; one without it was changed on the way."""
    from botocore.exceptions import HTTPClientError

    if answer.get(what) in (None, ""):
        raise HTTPClientError(error=f"an answer names no {what}")
    return answer[what]


def as_broken(error: Exception) -> Exception | None:
    """Return what stands for an answer that the library could not read, which broke off or was changed on the way.

    None for an error that did not come about while it read one.
    """
    from botocore.exceptions import HTTPClientError

    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == "botocore.parsers":
            broken: Exception = HTTPClientError(error=error)
            return broken
        trace = trace.tb_next
    return None


def kind_of(error: Exception) -> Kind:
    """Say what an exception of a client means for whoever sent the request.

    "lost": the request may have been done or not. "unsent": it was not. "throttled": the store is busy, and most
    likely did not do it. "contended": it was not done, because another write of the same object was under way, which
    may or may not succeed. "refused": it was answered, and not done. The others name an answer.
    """
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        code, status = _code_and_status(error)
        if code in _THROTTLED or status in (429, 503):
            return "throttled"
        if code == "NoSuchUpload":
            return "no upload"
        if code in ("NoSuchKey", "404"):
            return "absent"
        if status == 412 or code == "PreconditionFailed":
            return "conflict"
        if code in ("ConditionalRequestConflict", "OperationAborted"):
            return "contended"
        if status == 416 or code == "InvalidRange":
            return "range"
        if (status >= 500 and status not in (501, 507)) or code in _PASSING:
            return "lost"
        return "refused"
    if isinstance(error, boto.EndpointConnectionError | boto.ConnectTimeoutError | boto.ProxyConnectionError):
        return "unsent"
    if isinstance(error, boto.SSLError):
        return "refused"
    if isinstance(error, boto.HTTPClientError | boto.IncompleteReadError | boto.ResponseStreamingError | OSError):
        return "lost"
    return "refused"


def translate(error: Exception, target: Target, doing: str) -> S3Error:
    """Return the error that a person understands; `doing` completes "while ..." with a gerund."""
    from botocore import exceptions as boto

    def say(reason: Reason, text: str, hint: str | None, code: str = "") -> S3Error:
        return S3Error(f"{target.url}: {text}", reason=reason, hint=hint, target=target, code=code)

    if isinstance(error, boto.ClientError):
        return _of_answer(error, target, doing)
    name = type(error).__name__
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
        return say(
            "credentials",
            "no credentials were found",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run: aws configure",
        )
    if isinstance(error, boto.ProfileNotFound):
        return say("credentials", _text(error), "list the profiles with: aws configure list-profiles")
    if "SSO" in name or "Token" in name:
        return say("expired", f"the login has expired ({_text(error)})", "aws sso login")
    if isinstance(error, boto.CredentialRetrievalError):
        return say("credentials", _text(error), "check the profile in ~/.aws/config")
    if isinstance(error, boto.NoRegionError):
        return say("refused", "no region is known for the bucket", "set AWS_DEFAULT_REGION, or the remote's region")
    if isinstance(error, boto.ConnectTimeoutError | boto.ReadTimeoutError):
        return say(
            "time-out",
            f"{target.endpoint} did not answer in time while {doing}",
            "check that the server runs and that no firewall swallows its answers, then run the command again",
        )
    if isinstance(error, boto.SSLError):
        return say(
            "unreachable",
            f"the certificate of {target.endpoint} cannot be verified ({_text(error)})",
            "name the authority's certificate in AWS_CA_BUNDLE, or write http:// if it has none",
        )
    if isinstance(error, boto.EndpointConnectionError | boto.ProxyConnectionError):
        return say(
            "unreachable",
            f"{target.endpoint} cannot be reached",
            "check the endpoint (AWS_ENDPOINT_URL_S3 or the remote's setting) and the network",
        )
    if isinstance(error, boto.HTTPClientError | boto.IncompleteReadError | boto.ResponseStreamingError | OSError):
        return say(
            "unreachable",
            f"the connection to {target.endpoint} broke while {doing}",
            "run the command again; what has arrived is not sent twice",
        )
    return say("refused", f"{doing} failed: {_text(error)}", "check the remote's settings: dsvc remote show")


def status_of(error: Exception) -> int:
    """The HTTP status of an answer, or 0 where there was none."""
    response = getattr(error, "response", None)
    return int(response["ResponseMetadata"].get("HTTPStatusCode", 0)) if isinstance(response, dict) else 0


def _code_and_status(error: Any) -> tuple[str, int]:
    return str(error.response.get("Error", {}).get("Code", "")), status_of(error)


def _of_answer(error: Any, target: Target, doing: str) -> S3Error:
    code, status = _code_and_status(error)
    answer = error.response.get("Error", {})
    said = str(answer.get("Message", "")).strip().rstrip(".") or f"status {status}"
    reason: Reason
    if code == "NoSuchBucket":
        reason, text = "no bucket", "there is no such bucket"
        hint = "check the bucket's name and the endpoint, or create it: aws s3 mb s3://BUCKET"
    elif code == "RequestTimeTooSkewed":
        reason, text = "clock", f"this machine's clock differs too much from that of {target.endpoint}"
        hint = "set the clock, for example: timedatectl set-ntp true"
    elif code in _EXPIRED:
        reason, text, hint = "expired", "the credentials have expired", "get new ones, for example: aws sso login"
    elif code in _WRONG or (code == "403" and status == 403 and "signature" in said.lower()):
        reason, text = "credentials", f"the credentials are wrong ({code})"
        hint = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile; AWS_SESSION_TOKEN belongs to them"
    elif code in _FULL or status == 507:
        reason, text = "full", f"the store has no room left ({said})"
        hint = "make room there or raise the quota, then run the command again; what has arrived is not sent twice"
    elif status in (401, 403):
        reason, text = "access denied", f"access was denied while {doing}"
        hint = _RIGHTS
    elif code in _THROTTLED or status in (429, 503):
        reason, text = "slow down", f"{target.endpoint} asks for fewer requests, also after waiting ({code or status})"
        hint = "run the command again later, or with fewer at once: --jobs 2"
    elif status >= 500 and status != 501:
        reason, text = "failing", f"{target.endpoint} fails while {doing}: {said} ({code or status})"
        hint = "look at the server's log, or run the command again later"
    else:
        reason, text = "refused", f"{target.endpoint} refused {doing}: {said} ({code or status})"
        hint = "check bucket, endpoint, region and addressing in the remote's settings"
    return S3Error(f"{target.url}: {text}", reason=reason, hint=hint, target=target, code=code)


def _text(error: Exception) -> str:
    return str(error).strip().rstrip(".")
