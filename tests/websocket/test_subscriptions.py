"""Control messages, as a table of what goes in and what comes out."""

import json
from typing import Any

import pytest

from exchange.websocket.events import Form
from exchange.websocket.streams import Stream, parse_stream
from exchange.websocket.subscriptions import STREAMS_MAX, Answer, Subscriptions

SYMBOLS = {"BTCUSDT", "ETHUSDT"}


@pytest.fixture
def subscriptions() -> Subscriptions:
    return Subscriptions(Form())


def ask(subscriptions: Subscriptions, **message: Any) -> Any:
    return json.loads(subscriptions.answer(json.dumps(message), SYMBOLS).text)


def streams(*names: str) -> dict[str, Stream]:
    return {name: stream for name in names if (stream := parse_stream(name)) is not None}


def test_a_socket_gets_what_it_subscribes_to(subscriptions: Subscriptions) -> None:
    first = subscriptions.answer(
        '{"method":"SUBSCRIBE","params":["btcusdt@trade","ethusdt@depth@100ms"],"id":1}', SYMBOLS
    )
    again = subscriptions.answer(
        '{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@bookTicker"],"id":2}', SYMBOLS
    )

    assert first == Answer(
        text=b'{"result":null,"id":1}', added=streams("btcusdt@trade", "ethusdt@depth@100ms")
    )
    assert again == Answer(text=b'{"result":null,"id":2}', added=streams("btcusdt@bookTicker"))
    assert ask(subscriptions, method="LIST_SUBSCRIPTIONS", id=3) == {
        "result": ["btcusdt@trade", "ethusdt@depth@100ms", "btcusdt@bookTicker"],
        "id": 3,
    }


def test_a_socket_unsubscribes_from_what_it_has_and_from_what_it_has_not(
    subscriptions: Subscriptions,
) -> None:
    subscriptions.open(["btcusdt@trade", "btcusdt@depth"], SYMBOLS)

    answer = subscriptions.answer(
        '{"method":"UNSUBSCRIBE","params":["btcusdt@trade","btcusdt@trade","what"],"id":"a"}',
        SYMBOLS,
    )

    assert answer == Answer(text=b'{"result":null,"id":"a"}', removed=streams("btcusdt@trade"))
    assert list(subscriptions.streams) == ["btcusdt@depth"]


def test_unknown_names_in_an_address_are_passed_over(subscriptions: Subscriptions) -> None:
    subscriptions.open(["0", "btcusdt@trade", "dogeusdt@trade", "btcusdt@kline_7m"], SYMBOLS)

    assert list(subscriptions.streams) == ["btcusdt@trade"]


@pytest.mark.parametrize(
    "id", [0, 1, -1, 2**63 - 1, -(2**63), "", "x" * 36, "9be1-é", None], ids=repr
)
def test_an_id_comes_back_as_it_went(subscriptions: Subscriptions, id: object) -> None:
    answer = ask(subscriptions, method="LIST_SUBSCRIPTIONS", id=id)

    assert answer == {"result": [], "id": id}
    assert type(answer["id"]) is type(id)


def test_a_message_without_an_id_is_answered_with_null(subscriptions: Subscriptions) -> None:
    assert ask(subscriptions, method="LIST_SUBSCRIPTIONS", params=None) == {
        "result": [],
        "id": None,
    }


@pytest.mark.parametrize("id", [True, 1.5, 2**63, -(2**63) - 1, "x" * 37, [], {}], ids=repr)
def test_an_id_of_another_kind_is_refused(subscriptions: Subscriptions, id: object) -> None:
    answer = ask(subscriptions, method="SUBSCRIBE", params=["btcusdt@trade"], id=id)

    assert (answer["code"], answer["id"]) == (2, None)
    assert not subscriptions.streams


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        ('{"method":"SUBSCRIBE","params":["btcusdt@kline_7m"],"id":7}', 2, "unsupported stream"),
        ('{"method":"SUBSCRIBE","params":["BTCUSDT@trade"],"id":7}', 2, "unsupported stream"),
        ('{"method":"SUBSCRIBE","params":["dogeusdt@trade"],"id":7}', 2, "unknown symbol"),
        (
            '{"method":"SUBSCRIBE","params":["btcusdt@trade","0"],"id":7}',
            2,
            "unsupported stream `0`",
        ),
        ('{"method":"SUBSCRIBE","params":[],"id":7}', 2, "array of stream names"),
        ('{"method":"SUBSCRIBE","params":[1],"id":7}', 2, "array of stream names"),
        ('{"method":"SUBSCRIBE","params":"btcusdt@trade","id":7}', 2, "must be an array"),
        ('{"method":"SUBSCRIBE","id":7}', 2, "array of stream names"),
        ('{"method":"subscribe","params":["btcusdt@trade"],"id":7}', 2, "unknown variant"),
        ('{"method":5,"id":7}', 2, "unknown variant"),
        ('{"method":["SUBSCRIBE"],"id":7}', 2, "unknown variant"),
        ('{"params":[],"id":7}', 2, "missing field `method`"),
        ('{"method":"SET_PROPERTY","params":["combined",1],"id":7}', 1, "expected Boolean"),
        ('{"method":"SET_PROPERTY","params":["combined"],"id":7}', 1, "expected Boolean"),
        ('{"method":"SET_PROPERTY","params":["color",true],"id":7}', 0, "Unknown property"),
        ('{"method":"SET_PROPERTY","params":[1,true],"id":7}', 2, "must be a string"),
        ('{"method":"GET_PROPERTY","params":["color"],"id":7}', 0, "Unknown property"),
        ('{"method":"GET_PROPERTY","params":["combined",1],"id":7}', 2, "too many parameters"),
        ('{"method":"GET_PROPERTY","id":7}', 2, "must be a string"),
    ],
)
def test_what_cannot_be_obeyed_is_explained_both_ways_and_changes_nothing(
    subscriptions: Subscriptions, message: str, code: int, text: str
) -> None:
    answer = subscriptions.answer(message, SYMBOLS)

    told = json.loads(answer.text)
    assert told["code"] == code
    assert text in told["msg"]
    assert told["error"] == {"code": code, "msg": told["msg"]}
    assert told["id"] == 7
    assert (answer.added, answer.removed, subscriptions.streams) == ({}, {}, {})


@pytest.mark.parametrize(
    "message",
    ["", "{", "hello", '{"id":1', "[" * 50_000, '{"id":NaN}', '{"id":"\\ud800"}', "{'id':1}"],
    ids=lambda text: text[:12],
)
def test_what_is_no_json_is_refused(subscriptions: Subscriptions, message: str) -> None:
    told = json.loads(subscriptions.answer(message, SYMBOLS).text)

    assert (told["code"], told["error"]["code"], told["id"]) == (3, 3, None)


def test_streams_of_all_markets_need_none(subscriptions: Subscriptions) -> None:
    message = '{"method":"SUBSCRIBE","params":["!miniTicker@arr@3000ms","!ticker@arr"],"id":1}'

    answer = subscriptions.answer(message, ())

    assert answer.added == streams("!miniTicker@arr@3000ms", "!ticker@arr")


@pytest.mark.parametrize("message", ["[]", "5", "null", '"SUBSCRIBE"'])
def test_json_that_is_no_object_is_refused(subscriptions: Subscriptions, message: str) -> None:
    assert json.loads(subscriptions.answer(message, SYMBOLS).text)["code"] == 2


def test_the_envelope_can_be_switched_on_and_off(subscriptions: Subscriptions) -> None:
    assert ask(subscriptions, method="GET_PROPERTY", params=["combined"], id=1)["result"] is False

    switched = ask(subscriptions, method="SET_PROPERTY", params=["combined", True], id=2)

    assert switched == {"result": None, "id": 2}
    assert subscriptions.form == Form(combined=True)
    assert ask(subscriptions, method="GET_PROPERTY", params=["combined"], id=3)["result"] is True


def test_a_socket_has_a_bounded_number_of_streams(subscriptions: Subscriptions) -> None:
    symbols = [f"S{number}" for number in range(STREAMS_MAX + 1)]
    names = [f"{symbol.lower()}@trade" for symbol in symbols]

    def subscribe(names: list[str]) -> Any:
        message = json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1})
        return json.loads(subscriptions.answer(message, symbols).text)

    assert subscribe(names)["code"] == 2
    assert not subscriptions.streams
    assert subscribe(names[:-1]) == {"result": None, "id": 1}
    assert subscribe(names[-1:])["code"] == 2
    assert len(subscriptions.streams) == STREAMS_MAX
