"""An exchange that runs already, whose backends are at several addresses: what a bench does to it.

It gets accounts of the bench's own, and keeps them, stopped. Whoever else trades in the bench's
market would trade with them, so its book has to be empty.
"""

import contextlib
import re
import secrets
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from exchange.lab import running
from exchange.lab.order_bench import BenchFault
from exchange.lab.traders import SYMBOL, Signer, Trader
from exchange.services.admin import Admin, AdminFault
from exchange.services.rate_limits import API_LIMITS
from exchange.services.settings import Address

ANSWER_S_MAX = 10.0
_CPU = re.compile(rb"^process_cpu_seconds_total (\S+)$", re.MULTILINE)


class RemoteExchange:
    """Its backends, in the order in which they join, and its admin API."""

    def __init__(
        self, backends: Sequence[str], admin: Admin, meters: Sequence[tuple[str, str]] = ()
    ) -> None:
        """`meters` are names, and where processes tell what they measure; those of one name are
        added up. Raises BenchFault where an address is none, or a backend is there twice.
        """
        self.backends = [_address(url) for url in backends]
        if twice := [str(one) for one, times in Counter(self.backends).items() if times > 1]:
            raise BenchFault(f"{twice[0]} is there twice.")
        for _, url in meters:
            _address(url)
        self._urls = [url.rstrip("/") for url in backends]
        self._meters = [(name, url.rstrip("/")) for name, url in meters]
        self._admin = admin

    @contextlib.contextmanager
    def traders(self, count: int) -> Iterator[list[Trader]]:
        """So many new accounts, whom all backends know; at the end all that is theirs has ended.

        Raises BenchFault where this is no exchange that can be measured, AdminFault, TimeoutError.
        """
        for url in self._urls:
            _require_market(url)
        self.cpu_seconds()
        run = secrets.token_hex(4)
        made: dict[str, Trader] = {}
        try:
            for name in (f"bench-{run}-{number}" for number in range(count)):
                made[name] = Trader(*running.funded_account(self._admin, name))
            traders = list(made.values())
            for url in self._urls:
                self._await_key(url, traders[-1])
            yield traders
        finally:
            self._stop(made)

    def cpu_seconds(self) -> dict[str, float]:
        """What the processes have computed since they started, by the names of the meters."""
        seconds = {name: 0.0 for name, _ in self._meters}
        for name, url in self._meters:
            found = _CPU.search(_read(url, "/metrics"))
            if found is None:
                raise BenchFault(f"{url}/metrics does not tell process_cpu_seconds_total.")
            seconds[name] += float(found[1])
        return seconds

    def _await_key(self, url: str, trader: Trader) -> None:
        """A backend knows it as soon as it has followed so far; that of another exchange never."""
        signer = Signer(trader)

        def is_known() -> bool:
            with contextlib.suppress(BenchFault):
                _read(url, signer.target("account", ""), {"X-MBX-APIKEY": trader.api_key})
                return True
            return False

        running.wait_until(
            is_known,
            f"{url} does not know an account that was made at {self._admin.url}",
            ANSWER_S_MAX,
        )

    def _stop(self, made: dict[str, Trader]) -> None:
        """Cancels what they have open, and takes their keys."""
        left = dict(made)
        try:
            for name, trader in made.items():
                self._admin.post("accounts", name, body={"stopped": True})
                self._admin.delete("keys", trader.api_key)
                del left[name]
        except AdminFault as fault:
            raise BenchFault(
                f"{fault} These accounts keep what they have open, end it with "
                f"`exchange account stop`: {', '.join(left)}."
            ) from None


class _Market(Struct):
    status: str


class _Limit(Struct):
    kind: str = msgspec.field(name="rateLimitType")
    limit: int


class _Info(Struct):
    symbols: list[_Market]
    limits: list[_Limit] = msgspec.field(name="rateLimits")


class _Book(Struct):
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


def _address(url: str) -> Address:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.scheme != "http" or parts.path not in ("", "/"):
        raise BenchFault(f"{url!r} is no address such as http://10.0.0.2:8080.")
    return Address(host, port)


def _require_market(url: str) -> None:
    try:
        info = msgspec.json.decode(_read(url, f"/api/v3/exchangeInfo?symbol={SYMBOL}"), type=_Info)
        book = msgspec.json.decode(_read(url, f"/api/v3/depth?symbol={SYMBOL}&limit=5"), type=_Book)
    except msgspec.DecodeError:
        raise BenchFault(f"{url} answers, but is no backend of an exchange.") from None
    if [market.status for market in info.symbols] != ["TRADING"]:
        raise BenchFault(f"{SYMBOL} does not trade at {url}.")
    for one in info.limits:
        if one.kind == "REQUEST_WEIGHT" and one.limit < API_LIMITS["relaxed"].request_weight:
            raise BenchFault(
                f"{url} lets one address ask {one.limit} times a minute: start it with "
                "RATE_LIMITS=relaxed to measure it."
            )
    if book.bids or book.asks:
        raise BenchFault(
            f"Somebody's orders rest in {SYMBOL} at {url}: the bench would trade with them."
        )


# The machines are measured, and not a proxy of the environment.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _read(url: str, target: str, headers: dict[str, str] | None = None) -> bytes:
    """The body of an answer of 200. Raises BenchFault for any other one."""
    asked = urllib.request.Request(url + target, headers=headers or {})  # noqa: S310
    try:
        with _opener.open(asked, timeout=ANSWER_S_MAX) as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as refusal:
        with refusal:
            text = refusal.read(500).decode(errors="replace")
        raise BenchFault(f"{url} answers with {refusal.code}: {text}") from None
    except urllib.error.URLError as fault:
        raise BenchFault(f"{url} cannot be reached: {fault.reason}.") from None
    except (OSError, HTTPException) as fault:
        raise BenchFault(f"{url} gives no answer: {fault}.") from None
