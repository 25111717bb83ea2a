"""The published table of parameters, row by row against a running exchange."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import jsonschema_rs
import msgspec
import pytest
from backend.api_client import Answer, Trader
from backend.conftest import RunningBackend

from exchange.backend.application import ENDPOINTS
from exchange.backend.endpoints import Endpoint

DOCUMENT = Path(__file__).parents[2] / "docs/conformance.md"
SYMBOL = "SOLUSDC"
SIGNED = {"recvWindow", "timestamp", "signature"}
BEFORE = {"side": "BUY", "quantity": "2", "price": "90"}
LIST_BEFORE = {
    "symbol": SYMBOL, "side": "SELL", "quantity": "1", "aboveType": "LIMIT_MAKER",
    "abovePrice": "140", "belowType": "STOP_LOSS", "belowStopPrice": "60",
}  # fmt: skip


class Row(msgspec.Struct, frozen=True):
    """One parameter of an endpoint ("" for the endpoint as a whole), and what shows it."""

    endpoint: str
    always: str
    parameter: str
    verdict: str
    example: str
    shown: str

    def __str__(self) -> str:
        return f"{self.endpoint} {self.example}"


def read_rows(text: str) -> Iterator[Row]:
    endpoint = always = ""
    for line in text.splitlines():
        if line.startswith("## "):
            endpoint, always = line.strip("#` "), ""
        elif line.startswith("Sent with `"):
            always = line.partition("`")[2].rstrip("`.")
        elif line.startswith("| `"):
            cells = [cell.strip("` ") for cell in line.strip("|").split(" | ")]
            if len(cells) == 3:
                yield Row(cells[0], "", "", "refused", cells[1], cells[2])
            else:
                yield Row(endpoint, always, *cells)


ROWS = list(read_rows(DOCUMENT.read_text("utf-8")))
BY_NAME = {one.name: one for one in ENDPOINTS}
OVERVIEW = Path(__file__).parents[2] / "docs/api.md"


def test_every_endpoint_is_in_the_table_and_no_other() -> None:
    assert {row.endpoint for row in ROWS} == set(BY_NAME)


def test_every_endpoint_is_in_the_overview_and_no_other() -> None:
    listed = re.findall(
        r"^\| `((?:GET|POST|PUT|DELETE) /[^`]+)` \|", OVERVIEW.read_text(), re.MULTILINE
    )

    assert sorted(listed) == sorted(BY_NAME)


@pytest.mark.parametrize("name", sorted({row.endpoint for row in ROWS if row.parameter}))
def test_every_parameter_of_an_endpoint_has_a_row_and_no_other(name: str) -> None:
    documented = {row.parameter for row in ROWS if row.endpoint == name}

    endpoint = BY_NAME[name]
    signed = SIGNED if endpoint.is_signed else set()
    assert documented == {one.name for one in endpoint.table.parameters} | signed


def test_a_verdict_is_one_of_two_words_and_a_refusal_has_a_code() -> None:
    assert {row.verdict for row in ROWS} == {"supported", "refused"}
    assert [row for row in ROWS if row.verdict == "refused" and "code=" not in row.shown] == []


class Bench:
    """Sends rows as one account; each begins with the same open orders.

    They are placed again where a row may have changed them: by a request that was no question, and
    was not refused.
    """

    def __init__(self, backend: RunningBackend) -> None:
        self._validators = _validators(backend)
        self._prepared: dict[str, str] | None = None
        self._trader = backend.trader(SOL="1000", USDC="1000000")
        offerer = backend.trader(SOL="1000")
        assert offerer.order("SELL", "100", "100").status == 200
        bought = [self._trader.order("BUY", "1", "100").body for _ in range(2)]
        # Lists that are over, of which there would be only one at the first row.
        assert self._trader.call("POST", "orderList/oco", **LIST_BEFORE).status == 200
        self._ids = {
            "lastTrade": str(bought[-1]["fills"][0]["tradeId"]),
            "amendedOrder": self._amend_twice(),
            "future": str((time.time_ns() // 1_000_000_000 + 86_400) * 1_000),
            **self._prevent_twice(),
        }
        self._clear()

    def _amend_twice(self) -> str:
        order: int = self._trader.order(**BEFORE).body["orderId"]
        for quantity in ("1.5", "1"):
            wish = {"symbol": SYMBOL, "orderId": order, "newQty": quantity}
            assert self._trader.call("PUT", "order/amend/keepPriority", **wish).status == 200
        return str(order)

    def _prevent_twice(self) -> dict[str, str]:
        for _ in range(2):
            assert self._trader.order("BUY", "1", "95").status == 200
        order: int = self._trader.order("SELL", "3", "95").body["orderId"]
        found = self._trader.call("GET", "myPreventedMatches", symbol=SYMBOL, orderId=order).body
        assert len(found) == 2
        return {
            "preventedOrder": str(order),
            "preventedMatch": str(found[0]["preventedMatchId"]),
        }

    def send(self, row: Row, *, without: str = "") -> tuple[Answer, str]:
        """The answer to a row's request, and what shows the row in it."""
        if self._prepared is None:
            self._prepared = self._prepare()
        ids = self._prepared
        wanted = {**_parameters(row.always, ids), **_parameters(row.example, ids)}
        wanted = {name: value for name, value in wanted.items() if value and name != without}
        answer = self._send(row.endpoint, wanted, without)
        if answer.status != 400 and not row.endpoint.startswith("GET "):
            self._prepared = None
        self._check_shape(row.endpoint, answer)
        return answer, _filled_in(row.shown, ids)

    def _check_shape(self, endpoint: str, answer: Answer) -> None:
        """Every answer that is sent here has to be as the API's own description says."""
        faults = [
            f"{fault.instance_path}: {fault.message}"
            for fault in self._validators[endpoint, answer.status].iter_errors(answer.body)
        ]
        assert faults == [], answer

    def _prepare(self) -> dict[str, str]:
        self._clear()
        order = self._trader.order(**BEFORE).body
        placed = self._trader.call("POST", "orderList/oco", **LIST_BEFORE).body
        return {
            **self._ids,
            "orderId": str(order["orderId"]),
            "clientOrderId": order["clientOrderId"],
            "orderListId": str(placed["orderListId"]),
            "listClientOrderId": placed["listClientOrderId"],
        }

    def _clear(self) -> None:
        self._trader.call("DELETE", "openOrders", symbol=SYMBOL)

    def _send(self, endpoint: str, wanted: dict[str, str], without: str) -> Answer:
        method, _, path = endpoint.partition(" ")
        if not BY_NAME[endpoint].is_signed:
            return self._trader.raw(method, f"{path}?{urlencode(wanted)}".rstrip("?"))
        signature = wanted.pop("signature", None)
        if without != "timestamp":
            wanted.setdefault("timestamp", str(time.time_ns() // 1_000_000))
        text = urlencode(wanted)
        if without != "signature":
            text += f"&signature={signature or self._trader.sign(text)}"
        return self._trader.raw(method, f"{path}?{text}")


def _parameters(text: str, ids: dict[str, str]) -> dict[str, str]:
    return dict(parse_qsl(_filled_in(text, ids), keep_blank_values=True))


def _filled_in(text: str, ids: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: ids[match[1]], text)


def _validators(backend: RunningBackend) -> dict[tuple[str, int], jsonschema_rs.Validator]:
    """Of every answer that the published description has, by endpoint and status."""
    document = Trader(backend.api).raw("GET", "/openapi.json").body
    return {
        (f"{method.upper()} {path}", int(status)): jsonschema_rs.validator_for(
            {
                **answer["content"]["application/json"]["schema"],
                "components": document["components"],
            }
        )
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        for status, answer in operation["responses"].items()
    }


def shows(answer: Answer, shown: str) -> bool:
    """Whether an answer has the field, or has it not where its value is empty."""
    path, _, value = shown.partition("=")
    is_error = path.split(".")[0] in ("code", "data")
    if is_error != (answer.status >= 400):
        return False
    found = answer.body
    for part in path.split("."):
        try:
            found = found[int(part)] if isinstance(found, list) else found[part]
        except (LookupError, TypeError, ValueError):
            return not value
    return str(found) == value


@pytest.fixture(scope="module")
def bench(backend: RunningBackend) -> Bench:
    return Bench(backend)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_is_true(bench: Bench, row: Row) -> None:
    answer, shown = bench.send(row)

    assert shows(answer, shown), (shown, answer)


@pytest.mark.parametrize("row", [row for row in ROWS if row.parameter], ids=str)
def test_it_is_the_parameter_that_a_row_shows(bench: Bench, row: Row) -> None:
    answer, shown = bench.send(row, without=row.parameter)

    assert not shows(answer, shown), (shown, answer)


def test_an_answer_that_is_not_as_described_is_found(bench: Bench) -> None:
    for validator in bench._validators.values():
        assert not validator.is_valid({"unheard": "of"})
        assert not validator.is_valid([{"unheard": "of"}])


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_a_success_is_described_where_there_can_be_one(bench: Bench, endpoint: Endpoint) -> None:
    verdicts = {row.verdict for row in ROWS if row.endpoint == endpoint.name and not row.parameter}

    assert ((endpoint.name, 200) in bench._validators) == bool(endpoint.answer)
    assert bool(endpoint.answer) or "refused" in verdicts or "reference" in endpoint.name


@pytest.mark.parametrize(
    ("status", "body", "shown", "is_shown"),
    [
        (200, {"a": {"b": 1}}, "a.b=1", True),
        (200, {"a": {"b": 1}}, "a.b=2", False),
        (200, [{"a": "x"}], "0.a=x", True),
        (200, {}, "a=", True),
        (200, {"a": None}, "a=", False),
        (200, [], "0.a=x", False),
        (400, {"code": -1, "msg": ""}, "a=", False),
        (400, {"code": -1, "msg": ""}, "code=-1", True),
        (409, {"code": -1, "data": {"a": "x"}}, "data.a=x", True),
    ],
)
def test_what_shows_a_row_is_told_from_what_does_not(
    status: int, body: object, shown: str, is_shown: bool
) -> None:
    assert shows(Answer(status, {}, body), shown) == is_shown
