"""Addresses, as clients form them."""

import pytest

from exchange.websocket.events import Form
from exchange.websocket.handshake import BadRequest, NotFound, Opening, parse_target

RAW, COMBINED = Form(), Form(combined=True)


@pytest.mark.parametrize(
    ("target", "form", "names"),
    [
        ("/ws", RAW, ()),
        ("/ws/", RAW, ()),
        ("/ws/0", RAW, ("0",)),
        ("/ws/btcusdt@trade", RAW, ("btcusdt@trade",)),
        ("/ws/btcusdt@trade/ethusdt@depth@100ms", RAW, ("btcusdt@trade", "ethusdt@depth@100ms")),
        ("//ws/btcusdt%40trade", RAW, ("btcusdt@trade",)),
        ("/stream", COMBINED, ()),
        ("/stream?streams=", COMBINED, ()),
        ("/stream?streams=a@trade/b@trade", COMBINED, ("a@trade", "b@trade")),
        ("/stream?streams=a%40trade%2Fb@trade&x=1", COMBINED, ("a@trade", "b@trade")),
        ("/ws/a@kline_1d@+08:00", RAW, ("a@kline_1d@+08:00",)),
        ("/stream?streams=a@kline_1d@+08:00/b", COMBINED, ("a@kline_1d@+08:00", "b")),
        ("/stream?streams=a@kline_1d@%2B08:00", COMBINED, ("a@kline_1d@+08:00",)),
        ("/stream/?x&streams=!miniTicker@arr@3000ms", COMBINED, ("!miniTicker@arr@3000ms",)),
        ("/ws?timeUnit=MICROSECOND", Form(time_unit=1), ()),
        ("/ws/a?timeUnit=millisecond", RAW, ("a",)),
        ("/stream?streams=a&timeUnit=microsecond", Form(combined=True, time_unit=1), ("a",)),
    ],
)
def test_an_address_says_what_to_begin_with(
    target: str, form: Form, names: tuple[str, ...]
) -> None:
    assert parse_target(target) == Opening(form=form, names=names)


@pytest.mark.parametrize("target", ["/", "", "/wss", "/stream/a@trade", "/api/v3/ping", "/WS", "*"])
def test_there_is_nothing_elsewhere(target: str) -> None:
    with pytest.raises(NotFound):
        parse_target(target)


def test_a_unit_of_time_that_we_do_not_have_is_not_taken_for_another() -> None:
    with pytest.raises(BadRequest):
        parse_target("/ws?timeUnit=NANOSECOND")
