"""Whatever its own description allows, and much that it does not, gets a documented answer."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import hypothesis
import pytest
import schemathesis
from backend.api_client import Trader
from backend.conftest import RunningBackend
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from exchange.backend.application import ENDPOINTS

EXAMPLES = 3
REAL = {
    "symbol": "SOLUSDC",
    "quantity": "1",
    "price": "90",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "recvWindow": "5000",
    "limit": "10",
}
"""What a request has to have so that it gets further than its first parameter."""


@pytest.fixture(scope="module")
def operations(backend: RunningBackend) -> dict[str, Any]:
    """By method and path, as schemathesis reads the description."""
    schema = schemathesis.openapi.from_dict(Trader(backend.api).raw("GET", "/openapi.json").body)
    found = {}
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        found[f"{operation.method.upper()} {operation.path}"] = operation
    return found


@pytest.fixture(scope="module")
def owner(backend: RunningBackend) -> Iterator[Trader]:
    owner = backend.trader(USDC="1000000", SOL="1000")
    yield owner
    assert owner.get("ping").status == 200


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_every_answer_is_a_documented_one(
    operations: dict[str, Any], owner: Trader, endpoint: Any, mode: GenerationMode
) -> None:
    operation = operations[endpoint.name]
    documented = {int(status) for status in operation.definition.raw["responses"]}

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(
        case=operation.as_strategy(generation_mode=mode),
        real=st.sets(st.sampled_from(sorted(REAL))),
    )
    def answers(case: Any, real: set[str]) -> None:
        query = {str(name): str(value) for name, value in (case.query or {}).items()}
        query |= {name: REAL[name] for name in real if name in query}
        if endpoint.is_signed:
            query.pop("signature", None)
            query["timestamp"] = str(time.time_ns() // 1_000_000)
        # Lone surrogates are no text that could be sent.
        text = urlencode(query, errors="replace")
        if endpoint.is_signed:
            text += f"&signature={owner.sign(text)}"

        answer = owner.raw(endpoint.method, f"{endpoint.path}?{text}")

        assert answer.status in documented
        assert answer.status < 500
        assert answer.headers["content-type"] == "application/json;charset=UTF-8"
        if answer.status >= 400:
            assert isinstance(answer.body["code"], int)
            assert answer.body["code"] <= -1000
            assert answer.body["msg"]

    answers()
