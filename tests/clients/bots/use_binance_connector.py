"""binance-connector, run in an environment of its own by test_other_clients.py.

`use_binance_connector.py CLIENT_CONFIG RESULT`: it listens to the book, places an order over the
WebSocket API, cancels it over REST, and writes down all it was told.
"""

import json
import runpy
import sys
from pathlib import Path

from patience import until

SYMBOL = "SOLUSDC"


def main(config: str, result: str) -> None:
    told = runpy.run_path(config)
    client, streams, socket_api = told["client"], told["streams"], told["socket_api"]
    events: list[dict] = []
    answers: list[dict] = []
    streams.socket_manager.on_message = lambda _, text: events.append(json.loads(text))
    socket_api.socket_manager.on_message = lambda _, text: answers.append(json.loads(text))
    try:
        streams.diff_book_depth(symbol=SYMBOL.lower(), speed=100)
        until(lambda: events)
        socket_api.new_order(
            symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="1", price="50"
        )
        until(lambda: answers)
        (resting,) = client.get_open_orders(SYMBOL)
        canceled = client.cancel_order(SYMBOL, orderId=resting["orderId"])
        until(lambda: bids(events) == ["1.00000000", "0.00000000"])
    finally:
        socket_api.stop()
        streams.stop()
    known = {
        "placed": answers[0]["result"]["orderId"],
        "resting": resting["orderId"],
        "canceled": canceled["status"],
        "book": bids(events),
    }
    Path(result).write_text(json.dumps(known))


def bids(events: list[dict]) -> list[str]:
    """What the book has come to have at our price, one after the other."""
    levels = [level for event in events for level in event.get("b", [])]
    return [quantity for price, quantity in levels if price == "50.00000000"]


if __name__ == "__main__":
    main(*sys.argv[1:])
