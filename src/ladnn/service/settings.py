"""The settings of the site: a frozen record read from a TOML file, the environment and options."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from ladnn.config import build, read_toml
from ladnn.errors import ConfigError
from ladnn.service.addresses import read_network

PREFIX = "LADNN_"
ELSEWHERE = ("LADNN_CONFIG", "LADNN_DATA", "LADNN_DEBUG", "LADNN_KEY", "LADNN_SOAK")
"""Variables that are no settings: the settings' file, and what other parts of the project read."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an administrator may choose; docs/reference/settings.md tells each one.

    Attributes:
        database_url: an SQLAlchemy URL, of SQLite or PostgreSQL by psycopg.
        storage: a folder, or `s3://bucket/prefix`.
        s3_endpoint: the address of an S3 server other than Amazon's; empty for Amazon's.
        host, port: where the site listens.
        workers: server processes.
        public_url: the address that people use, such as https://ladnn.example.org; decides
            whether cookies are for HTTPS alone. Empty: the address it listens on.
        trusted_proxies: addresses or networks whose X-Forwarded-* headers are believed; a single
            `*` stands for everybody.
        metrics_from: addresses or networks that may read /metrics.
        bundle: the bundle that answers until another is promoted: a folder or a shipped name.
        operating_point: a name in its card.
        engine: "openvino" or "onnxruntime".
        threads: of the processor for each worker; 0 shares all of them between the workers.
        upload_mib: the most that one request with files may bring, in MiB.
        slices: the most slices that one study may have.
        language: "en" or "zh", where a browser asks for neither.
        secret: signs cookies and encrypts second factors, 32 characters or more, the same on every
            replica; empty: made at the first start and kept in the database.
        session_idle_minutes: after which a session without requests is over.
        session_hours: after which any session is over.
        requests_per_minute: of one account, or of one address without an account, in each
            process; 0 for no limit, here and in the next three.
        tests_per_minute: of one account, on all processes together, as the next two.
        visitor_tests_per_minute: of one address without an account.
        visitor_mib_per_day: what one address without an account may send to be tested, in MiB, or
            what is kept of it where that is more.
        visitor_case_days: after which the results of visitors are deleted; 0 for never, here and
            in the next four.
        account_case_days: after which the results of accounts are deleted.
        contribution_days: after which contributions that nobody accepted are deleted.
        visit_log_days: after which the audit log forgets who viewed and tested what.
        change_log_days: after which it forgets changes, downloads and sign-ins.
        oidc_issuer: the address of an OpenID provider; empty for none.
        oidc_client_id, oidc_client_secret: what it knows this site by.
        oidc_name: what the button to it says.
        oidc_role_claim: the claim of its tokens that says what somebody may do.
        oidc_roles: such as "radiology=clinician": a value of that claim and the role it gives.
        log_format: "json" for machines, "text" for people.
        log_level: "debug", "info", "warning" or "error".
        shutdown_seconds: how long requests under way may go on when the site is stopped.
    """

    database_url: str = "sqlite:///site-data/site.db"
    storage: str = "site-data/files"
    s3_endpoint: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    metrics_from: tuple[str, ...] = ("127.0.0.1", "::1")
    bundle: str = "default"
    operating_point: str = "balanced"
    engine: str = "openvino"
    threads: int = 0
    upload_mib: int = 256
    slices: int = 1000
    language: str = "en"
    secret: str = field(default="", repr=False)
    session_idle_minutes: int = 60
    session_hours: int = 12
    requests_per_minute: int = 6000
    tests_per_minute: int = 3000
    visitor_tests_per_minute: int = 600
    visitor_mib_per_day: int = 4096
    visitor_case_days: int = 30
    account_case_days: int = 365
    contribution_days: int = 365
    visit_log_days: int = 365
    change_log_days: int = 2190
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = field(default="", repr=False)
    oidc_name: str = "OpenID"
    oidc_role_claim: str = "roles"
    oidc_roles: tuple[str, ...] = ()
    log_format: str = "json"
    log_level: str = "info"
    shutdown_seconds: int = 30

    def __post_init__(self) -> None:
        for name, low, high in _BOUNDS:
            _within(name, getattr(self, name), low, high)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(
                    f"{name} is {getattr(self, name)!r}: choose {' or '.join(choices)}"
                )
        _check_address(self.public_url)
        if self.secret and len(self.secret) < 32:
            raise ConfigError("secret is too short: give 32 random characters or more, or none")
        _check_networks("metrics_from", self.metrics_from)
        if self.trusted_proxies != ("*",):  # which uvicorn takes for everybody, alone
            _check_networks("trusted_proxies", self.trusted_proxies)
        _check_provider(self)

    @property
    def secure(self) -> bool:
        """Whether people reach the site by HTTPS."""
        return self.public_url.startswith("https://")

    @property
    def files(self) -> int:
        """The most files of one request: a thousand, or those of a longer study."""
        return max(1000, self.slices)

    @property
    def oidc_mapping(self) -> dict[str, str]:
        """`oidc_roles` by the value of the claim."""
        parts = (item.rpartition("=") for item in self.oidc_roles)
        return {value: role for value, _, role in parts}


_BOUNDS = (
    ("port", 1, 65_535),
    ("workers", 1, 64),
    ("threads", 0, 1024),
    ("upload_mib", 1, 4096),
    ("slices", 1, 10_000),
    ("session_idle_minutes", 1, 1440),
    ("session_hours", 1, 720),
    ("requests_per_minute", 0, 1_000_000),
    ("tests_per_minute", 0, 1_000_000),
    ("visitor_tests_per_minute", 0, 1_000_000),
    ("visitor_mib_per_day", 0, 1_000_000),
    ("visitor_case_days", 0, 36_500),
    ("account_case_days", 0, 36_500),
    ("contribution_days", 0, 36_500),
    ("visit_log_days", 0, 36_500),
    ("change_log_days", 0, 36_500),
    ("shutdown_seconds", 0, 3600),
)
_CHOICES = {
    "language": ("en", "zh"),
    "log_format": ("json", "text"),
    "log_level": ("debug", "info", "warning", "error"),
    "engine": ("openvino", "onnxruntime"),
}


_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _check_address(public_url: str) -> None:
    """Refuse an address that no link of the site could be put behind."""
    if not public_url:
        return
    if not public_url.startswith(("http://", "https://")):
        raise ConfigError(f"public_url is {public_url!r}: begin it with https:// or http://")
    if not re.fullmatch(r"https?://[^\s/?#@\\]+/?", public_url):
        raise ConfigError(
            f"public_url is {public_url!r}: give scheme and host alone, as https://ladnn.example.org"
        )


def _check_provider(settings: Settings) -> None:
    """Refuse an OpenID provider that is half described, or that anyone could speak for."""
    if not settings.oidc_issuer:
        return
    issuer = urlsplit(settings.oidc_issuer)
    near = issuer.scheme == "http" and issuer.hostname in _LOOPBACK
    if not (near or (issuer.scheme == "https" and issuer.hostname)):
        raise ConfigError(f"oidc_issuer is {settings.oidc_issuer!r}: begin it with https://")
    if not settings.oidc_client_id or not settings.oidc_client_secret:
        raise ConfigError("oidc_issuer is set: give oidc_client_id and oidc_client_secret too")
    for item in settings.oidc_roles:
        if item.rpartition("=")[2] not in ("clinician", "curator", "administrator"):
            raise ConfigError(f"oidc_roles has {item!r}: write it like radiology=clinician")
    if not settings.oidc_roles:
        raise ConfigError("oidc_issuer is set and oidc_roles is empty: nobody could sign in")


def _check_networks(name: str, entries: tuple[str, ...]) -> None:
    for entry in entries:
        try:
            read_network(entry)
        except ValueError:
            raise ConfigError(
                f"{name} has {entry!r}: give an address or a network, such as 10.0.0.0/8"
            ) from None


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} is {value}: give a number from {low} to {high}")


def read_settings(
    path: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    options: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings: options before the environment, that before the file, that before defaults.

    Args:
        path: a TOML file; the file that LADNN_CONFIG names when None.
        environment: `LADNN_PORT=8080` and the like; lists are written with commas.
        options: from the command line, already of the right kind.

    Raises:
        ConfigError: an unknown setting, wherever it comes from, or an impossible value.
    """
    named = environment.get("LADNN_CONFIG")
    source = path or (Path(named) if named else None)
    data = _from_file(source) if source else {}
    return build(Settings, data | _from_environment(environment) | dict(options or {}))


def to_environment(settings: Settings) -> dict[str, str]:
    """The settings as variables, for worker processes; `read_settings` is the inverse."""
    return {f"{PREFIX}{item.name.upper()}": _text(getattr(settings, item.name)) for item in _all()}


def _all() -> tuple[Any, ...]:
    return fields(Settings)


def _text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _from_file(path: Path) -> dict[str, Any]:
    data = read_toml(path)
    known = [item.name for item in _all()]
    for key in data:
        if key not in known:
            raise ConfigError(f"there is no setting {key!r} in {path}: choose of {_list(known)}")
    return data


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    hints = get_type_hints(Settings)
    known = {f"{PREFIX}{name.upper()}": name for name in (item.name for item in _all())}
    found: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable in ELSEWHERE:
            continue
        if variable not in known:
            raise ConfigError(f"there is no setting {variable}: choose of {_list(known)}")
        found[known[variable]] = _parse(variable, text, hints[known[variable]])
    return found


def _parse(variable: str, text: str, hint: object) -> object:
    if hint is int:
        try:
            return int(text)
        except ValueError:
            raise ConfigError(f"{variable} is {text!r}: expected a whole number") from None
    if hint is str:
        return text
    return [item.strip() for item in text.split(",") if item.strip()]


def _list(names: Mapping[str, str] | list[str]) -> str:
    return ", ".join(sorted(names))
