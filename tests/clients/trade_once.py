"""ccxt, run in an environment of its own where no test can be: it trades, and says what it was told.

`trade_once.py CLIENT_CONFIG` takes what `exchange client-config ccxt` printed, key and secret filled
in; somebody must offer one SOL at 100.
"""

import json
import runpy
import sys

SYMBOL = "SOL/USDC"


def main(config: str) -> None:
    client = runpy.run_path(config)["exchange"]
    bought = client.create_order(SYMBOL, "limit", "buy", 1, 100)
    resting = client.create_order(SYMBOL, "limit", "buy", 1, 50)
    told = {
        "bought": client.fetch_order(bought["id"], SYMBOL)["status"],
        "trades": [trade["price"] for trade in client.fetch_my_trades(SYMBOL)],
        "locked": client.fetch_balance()["USDC"]["used"],
        "canceled": client.cancel_order(resting["id"], SYMBOL)["status"],
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
