"""What must be known to reach a bucket, and the client that follows from it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from dsvc.errors import RequestError

_MIB: Final = 1 << 20
_SENT_AT_ONCE: Final = 256 << 10  # bytes of a body
_NO: Final = ("", "0", "false", "no", "off")

_ADDRESSING: Final = ("auto", "path", "virtual")
_ENCRYPTION: Final = ("AES256", "aws:kms", "aws:kms:dsse")

# Variables of the AWS programs that name a setting of botocore.
_VARIABLES: Final = {
    "AWS_CONFIG_FILE": "config_file",
    "AWS_SHARED_CREDENTIALS_FILE": "credentials_file",
    "AWS_CA_BUNDLE": "ca_bundle",
    "AWS_USE_DUALSTACK_ENDPOINT": "use_dualstack_endpoint",
    "AWS_USE_FIPS_ENDPOINT": "use_fips_endpoint",
}


class BadS3SettingError(RequestError):
    """A setting of a bucket that cannot be meant."""


@dataclass(frozen=True, slots=True)
class S3Settings:
    """A bucket, how to reach it and how to write into it; None leaves a choice to the variables and files of AWS.

    `prefix` is the folder of the repository in the bucket, without a slash at either end. `addressing` says whether the
    bucket stands in the path or in the host name; "auto" means the path for an endpoint of one's own. `encryption` is
    "AES256", "aws:kms" or "aws:kms:dsse". A file larger than `part_size` goes up in parts, `parallel_parts` at once;
    each is read from the disk as it is sent and takes about 3 MiB of memory, whatever its size. `connections` bounds
    the requests of all threads. Sizes are bytes, times seconds.
    Without `checksums` only those are sent that the protocol demands, for stores that refuse the others.
    `single_writer` is the user's word that one machine alone writes: then a store without conditional writes will do.
    """

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None
    addressing: Literal["auto", "path", "virtual"] = "auto"
    storage_class: str | None = None
    encryption: str | None = None
    kms_key: str | None = None
    single_writer: bool = False
    checksums: bool = True
    part_size: int = 16 * _MIB
    parallel_parts: int = 8
    connections: int = 32
    attempts: int = 8
    connect_timeout: float = 10
    read_timeout: float = 60

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            BadS3SettingError: for a word or a number that does not fit.
        """
        if self.prefix and any(part in ("", ".", "..") for part in self.prefix.split("/")):
            raise BadS3SettingError(f"{self.prefix!r} is no prefix in a bucket", hint="write it as in s3://bucket/a/b")
        if self.addressing not in _ADDRESSING:
            raise BadS3SettingError(f"addressing {self.addressing!r} is not known", hint="auto, path or virtual")
        if self.encryption not in (None, *_ENCRYPTION):
            raise BadS3SettingError(f"encryption {self.encryption!r} is not known", hint=" or ".join(_ENCRYPTION))
        if self.part_size < 5 * _MIB:
            raise BadS3SettingError("parts have at least 5 MiB", hint=f"a part size of {5 * _MIB} or more bytes")
        for name in ("parallel_parts", "connections", "attempts", "connect_timeout", "read_timeout"):
            if getattr(self, name) <= 0:
                raise BadS3SettingError(f"{name} must be above 0", hint="leave it out for the default")

    @property
    def url(self) -> str:
        """The place as people write it."""
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"


def make_client(settings: S3Settings, environment: Mapping[str, str]) -> Any:
    """Return a client of botocore for these settings; nothing is sent yet.

    What the settings leave open is taken from `environment` and then from AWS's files, in boto3's order. A client may
    be used by many threads. It repeats nothing by itself: `Calls` does, which knows what is safe.

    Raises:
        RequestError: when botocore is not installed. S3Error: unknown profile, unusable setting.
    """
    try:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session
    except ImportError as error:
        raise RequestError("s3:// needs botocore, which is not installed", hint="pip install 'dsvc[s3]'") from error
    from dsvc.remotes.s3.errors import Target, refuse_open_end, translate
    from dsvc.remotes.s3.whole_heads import expect_whole_heads

    endpoint = settings.endpoint or _endpoint(environment)
    session = Session()
    try:
        _prepare(session, settings, environment)
        region = settings.region or environment.get("AWS_DEFAULT_REGION") or environment.get("AWS_REGION")
        if region is None and endpoint is not None:
            region = session.get_config_variable("region") or "us-east-1"  # part of the signature, else without meaning
        client = session.create_client(
            "s3",
            region_name=region,
            endpoint_url=endpoint,
            config=Config(
                retries={"total_max_attempts": 1, "mode": "standard"},
                max_pool_connections=settings.connections + settings.parallel_parts,
                connect_timeout=settings.connect_timeout,
                read_timeout=settings.read_timeout,
                tcp_keepalive=True,
                request_checksum_calculation="when_supported" if settings.checksums else "when_required",
                response_checksum_validation="when_required",  # every object is checked against its own id
                s3={} if settings.addressing == "auto" else {"addressing_style": settings.addressing},
            ),
        )
        client.meta.events.register_last("before-call.s3", _send_small_at_once)
        client.meta.events.register("before-parse.s3", refuse_open_end)
        expect_whole_heads(client)
        return client
    except (BotoCoreError, ValueError) as error:
        raise translate(error, Target(settings.url, endpoint or "AWS"), "opening it") from error


def _send_small_at_once(params: Mapping[str, Any], **_: object) -> None:
    """Take away the question whether a body may be sent, where waiting for its answer takes longer than sending."""
    body = params.get("body")
    if body is not None and hasattr(body, "seek"):
        size = body.seek(0, os.SEEK_END)
        body.seek(0)
        if size <= _SENT_AT_ONCE:
            params["headers"].pop("Expect", None)


def _prepare(session: Any, settings: S3Settings, environment: Mapping[str, str]) -> None:
    """Give a session what the environment says; the process's own, which botocore would read, may be another one."""
    home = environment.get("HOME")
    if home:
        session.set_config_variable("config_file", os.path.join(home, ".aws", "config"))
        session.set_config_variable("credentials_file", os.path.join(home, ".aws", "credentials"))
    for variable, name in _VARIABLES.items():
        if environment.get(variable):
            session.set_config_variable(name, environment[variable])
    profile = settings.profile or environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE")
    if profile:
        session.set_config_variable("profile", profile)
    key = environment.get("AWS_ACCESS_KEY_ID")
    secret = environment.get("AWS_SECRET_ACCESS_KEY")
    if key and secret and settings.profile is None:  # a profile that was asked for comes before keys that lie around
        token = environment.get("AWS_SESSION_TOKEN") or environment.get("AWS_SECURITY_TOKEN")
        session.set_credentials(key, secret, token)


def _endpoint(environment: Mapping[str, str]) -> str | None:
    """The endpoint that the environment names; one in AWS's files is found by botocore."""
    if environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() not in _NO:
        return None
    return environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or None
