"""unicorn-binance-websocket-api, run in an environment of its own by test_other_clients.py.

`use_unicorn.py CLIENT_CONFIG RESULT KEY SECRET`: it listens to the book and to its account, places an
order and cancels it over the WebSocket API, and writes down all it was told.
"""

import json
import runpy
import sys
from pathlib import Path

from patience import until

SYMBOL = "SOLUSDC"


def main(config: str, result: str, api_key: str, secret: str) -> None:
    manager = runpy.run_path(config)["manager"]
    events: list[dict] = []
    try:
        book = manager.create_stream(["depth@100ms"], [SYMBOL.lower()])
        keys = {"api_key": api_key, "api_secret": secret}
        user = manager.create_stream("arr", "!userData", **keys)
        api = manager.create_stream(api=True, **keys)
        for stream in (book, user, api):
            assert manager.wait_till_stream_has_started(stream)
        ask = manager.api.spot
        until(lambda: ask.get_server_time(stream_id=api, return_response=True))
        collect(manager, events)
        until(lambda: [one for one in collect(manager, events) if one.get("result", 0) is None])
        _, placed = ask.create_order(
            stream_id=api, symbol=SYMBOL, side="BUY", order_type="LIMIT", price=50.0, quantity=1.0,
            time_in_force="GTC", return_response=True,
        )  # fmt: skip
        canceled = ask.cancel_open_orders(stream_id=api, symbol=SYMBOL, return_response=True)
        until(lambda: len(states(collect(manager, events))) == 2)
    finally:
        manager.stop_manager()
    known = {
        "placed": json.loads(placed)["result"]["orderId"],
        "canceled": json.loads(canceled)["result"][0]["orderId"],
        "states": states(events),
    }
    Path(result).write_text(json.dumps(known))


def collect(manager, events: list[dict]) -> list[dict]:
    while text := manager.pop_stream_data_from_stream_buffer():
        events.append(json.loads(text))
    return events


def states(events: list[dict]) -> list[list]:
    """What has become of our orders, as the user stream tells."""
    reports = [one["event"] for one in events if one.get("event", {}).get("e") == "executionReport"]
    return [[report["i"], report["X"]] for report in reports]


if __name__ == "__main__":
    main(*sys.argv[1:])
