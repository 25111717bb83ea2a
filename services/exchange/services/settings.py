"""What an operator can set, read once from the environment."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

RateLimits: TypeAlias = Literal["relaxed", "binance"]
Acknowledgement: TypeAlias = Literal["redis", "postgres"]


class InvalidSettings(Exception):
    """A setting cannot be understood; the text says which one and why."""


class Address(msgspec.Struct, frozen=True):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every field is an environment variable of its name in capitals.

    A value can also come from a file: `DATABASE_URL_FILE=/run/secrets/database_url`. The defaults
    work on one machine.
    """

    database_url: str = "postgresql://exchange@127.0.0.1:5432/exchange-db"
    """Postgres; `postgres://` is understood too."""
    redis_url: str = "redis://127.0.0.1:6379"
    """The journal's Redis, used for nothing else."""
    ack: Acknowledgement = "redis"
    """Which store must hold what is acknowledged; with `postgres` nothing is told before both do."""
    journal_unchecked: bool = False
    """With ACK=postgres, accept a Redis that does not let us read its configuration."""
    server_addr: str = "127.0.0.1:8080"
    """Where the backend's public API listens."""
    server_share_port: bool = False
    """Let several backends of one machine listen at one SERVER_ADDR."""
    ws_stream_url: str = "127.0.0.1:4000"
    """Where the websocket server listens."""
    ws_compression: bool = False
    """Compress streams for clients that ask for it: less traffic, more work."""
    ws_share_port: bool = False
    """Let several websocket servers of one machine listen on one port."""
    admin_addr: str = "127.0.0.1:8081"
    """Where the backend's admin API listens."""
    admin_url: str = "http://127.0.0.1:8081"
    """Where the command line finds the admin API."""
    admin_token: str = ""
    """The admin API's bearer token; empty: the admin API is off."""
    master_key_file: str = ""
    """32 random bytes in hex (64 characters) that encrypt API secrets at rest; mode 0600."""
    metrics_addr: str = "0.0.0.0:9100"
    """Where /metrics, /live and /ready listen."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    rate_limits: RateLimits = "relaxed"
    """How much each client may ask for: as much as on Binance, or so much that tests never meet it."""
    trusted_proxies: str = ""
    """Addresses and networks of proxies that say in X-Forwarded-For whom they ask for, with commas."""
    audit_seconds: int = 60
    """How often the db-processor adds up all money and all locks; 0: never."""
    registration: Literal["open", "closed"] = "closed"
    """Whether strangers may make themselves an account on the trading page."""
    test_funds: str = "off"
    """Money for nothing: off, on, or how much of each asset at a time, such as USDC:1000,BTC:0.5."""
    public_ws_url: str = ""
    """Where browsers find the streams; empty: at the page's own host, port 4000; :PORT: another one."""
    password_memory_kib: int = 65_536
    """The memory that one hash of a password takes, which is what guessing it costs."""
    create_default_markets: bool = False
    """Give a new, empty exchange SOLUSDC, BTCUSDT and ETHUSDT."""
    testing: bool = False
    """Let the admin API reset all markets. Everything must listen on this machine alone."""
    faults_file: str = ""
    """The script of faults on request; only an `exchange up --faults` can give it."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Raises InvalidSettings with the variable's name, never with its value."""
        values = {}
        for name in cls.__struct_fields__:
            variable = name.upper()
            if path := environment.get(f"{variable}_FILE"):
                # MASTER_KEY_FILE is a setting of its own: there the path is the value.
                values[name] = _read(f"{variable}_FILE", path)
            elif (value := environment.get(variable)) is not None:
                values[name] = value
        try:
            settings = msgspec.convert(values, cls, strict=False)
        except msgspec.ValidationError as fault:
            # The fault names the field as `$.field`; the value is not repeated, it may be secret.
            raise InvalidSettings(f"Invalid setting: {fault}") from None
        settings._refuse_testing_for_others()  # noqa: SLF001, it is one of us
        return settings

    def _refuse_testing_for_others(self) -> None:
        """Whoever serves other machines is no test: neither a cluster nor a container may be one."""
        for variable in ("SERVER_ADDR", "WS_STREAM_URL", "ADMIN_ADDR"):
            value = getattr(self, variable.lower())
            if self.testing and parse_address(variable, value).host not in _THIS_MACHINE:
                raise InvalidSettings(
                    f"TESTING lets one request end all orders: {variable} must be 127.0.0.1:PORT"
                    f" with it, not {value}"
                )

    @property
    def may_be_unchecked(self) -> bool:
        """Whether a Redis will do of which nothing proves that it keeps what it acknowledges."""
        return self.ack == "postgres" and self.journal_unchecked

    def database_dsn(self) -> str:
        """The form that asyncpg takes."""
        scheme, separator, rest = self.database_url.partition("://")
        if not separator or scheme.split("+")[0] not in ("postgres", "postgresql"):
            raise InvalidSettings("DATABASE_URL must begin with postgresql://")
        return f"postgresql://{rest}"


def parse_address(variable: str, value: str) -> Address:
    """`host:port`, with an optional scheme in front, IPv6 hosts in brackets."""
    host, _, port = value.rpartition("://")[2].rstrip("/").rpartition(":")
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise InvalidSettings(f"{variable} must be host:port, such as 0.0.0.0:8080")
    return Address(host.strip("[]"), int(port))


_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


def _read(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise InvalidSettings(f"{variable} cannot be read: {fault}") from None
