"""docs/asyncapi.yaml and docs/streams.md are what is really sent, under the names there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from made_outcomes import MARKETS, START, UNIT, MadeMarket, views

from exchange.services.candles import MINUTE, SECOND
from exchange.services.orders import Side
from exchange.websocket import asyncapi
from exchange.websocket.events import Event, Form
from exchange.websocket.feeds import Feeds
from exchange.websocket.payloads import ServerShutdown, encode
from exchange.websocket.streams import Kind, Speed, Stream, array_streams, market_streams
from exchange.websocket.subscriptions import Method, Subscriptions

DOCS = Path(__file__).resolve().parents[2] / "docs"
DOCUMENT = yaml.safe_load((DOCS / "asyncapi.yaml").read_text("utf-8"))
STREAMS: list[Stream] = [*market_streams("BTCUSDT"), *array_streams()]


def validator(message: str) -> Draft202012Validator:
    found = DOCUMENT["components"]["messages"][message]["payload"]
    return Draft202012Validator({**found, "components": DOCUMENT["components"]})


def recorded() -> list[Event]:
    """All that is said to somebody who listens to everything for a while."""
    feeds, market = Feeds(views(*MARKETS), START), MadeMarket()
    for stream in STREAMS:
        feeds.want(stream, START)
    events: list[Event] = []
    for minute in range(3):
        now = START + minute * MINUTE + SECOND
        levels = [(side, 5 + minute, minute + 1) for side in Side]
        for _ in range(2):
            events += feeds.apply(market.frame(*levels, trades=((UNIT, 3), (UNIT, 4))), now)
            levels = [(Side.BUY, 4, minute + 1)]
        events += feeds.book_tickers()
        events += feeds.tick(list(Speed), now)
    return events + [
        event
        for stream in STREAMS
        if (event := feeds.start(stream, START + 10 * MINUTE)) is not None
    ]


def test_the_document_is_up_to_date() -> None:
    assert asyncapi.text() == (DOCS / "asyncapi.yaml").read_bytes(), (
        "python -m exchange.websocket.asyncapi > docs/asyncapi.yaml"
    )


def test_what_every_stream_sends_is_as_documented() -> None:
    events = recorded()

    assert {event.stream for event in events} == set(STREAMS)
    combined = validator("Combined")
    for stream, message in events:
        documented = validator(asyncapi.message_name(stream))
        for form in (Form(), Form(time_unit=1)):
            documented.validate(json.loads(message.text(stream.names[0], form)))
        combined.validate(json.loads(message.text(stream.names[0], Form(combined=True))))


@pytest.mark.parametrize("kind", list(Kind))
def test_a_message_that_lacks_a_field_or_has_another_is_not_as_documented(kind: Kind) -> None:
    event = next(event for event in recorded() if event.stream.kind is kind)
    payload = json.loads(event.message.text("", Form()))
    documented = validator(asyncapi.message_name(event.stream))

    assert documented.is_valid(payload)
    for name in payload:
        less = {other: value for other, value in payload.items() if other != name}
        assert not documented.is_valid(less), name
        assert not documented.is_valid({**payload, name: None}), name
    assert not documented.is_valid({**payload, "new": 1})


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}, "Result"),
        ({"method": "LIST_SUBSCRIPTIONS", "id": "x"}, "Result"),
        ({"method": "GET_PROPERTY", "params": ["combined"], "id": None}, "Result"),
        ({"method": "SET_PROPERTY", "params": ["combined", True]}, "Result"),
        ({"method": "SUBSCRIBE", "params": ["nothing"], "id": 1}, "Refusal"),
    ],
)
def test_requests_and_answers_are_as_documented(message: dict[str, Any], answer: str) -> None:
    subscriptions = Subscriptions(Form())

    text = subscriptions.answer(json.dumps(message), {"BTCUSDT"}).text

    validator("Request").validate(message)
    validator(answer).validate(json.loads(text))


def test_the_last_message_is_as_documented() -> None:
    validator("ServerShutdown").validate(msgspec.json.decode(encode(ServerShutdown(event_time=1))))


def test_every_reference_of_the_document_leads_somewhere() -> None:
    found = list(references(DOCUMENT))

    assert len(found) > 50
    for reference in found:
        place = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_name_is_in_exactly_one_channel() -> None:
    named: list[str] = []
    for name, channel in DOCUMENT["channels"].items():
        if name in ("combined", "control"):
            continue
        address = channel["address"].removeprefix("/ws/").replace("{symbol}", "btcusdt")
        spellings = channel["parameters"].get(name, {"enum": [""]})["enum"]
        named += [address.replace(f"{{{name}}}", spelling) for spelling in spellings]

    assert sorted(named) == sorted(name for stream in STREAMS for name in stream.names)


def test_the_guide_names_every_stream_method_and_field() -> None:
    text = (DOCS / "streams.md").read_text("utf-8")
    code = set(re.findall(r"`([^`]+)`", text))

    for stream in STREAMS:
        for name in stream.names:
            pattern = re.sub(r"(?<=kline_)\w+", "<interval>", name.replace("btcusdt", "<symbol>"))
            # The two speeds that may be appended are said once for many.
            assert set(re.split("(?=@1000ms|@3000ms)", pattern)) <= code, name
    assert {method.value for method in Method} <= code
    for kind in asyncapi.PAYLOADS.values():
        fields = " ".join(
            ([str(kind.__struct_config__.tag_field)] if kind.__struct_config__.tag else [])
            + [field.encode_name for field in msgspec.structs.fields(kind)]
        )
        assert fields.replace(" k", " k{…}") in code, kind
