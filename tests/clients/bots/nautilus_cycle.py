"""A nautilus_trader node that trades once, run in an environment of its own by test_nautilus.py.

`nautilus_cycle.py CLIENT_CONFIG RESULT`: the first file is what `exchange client-config nautilus` prints, key and
secret filled in. When it knows the book, it buys at the best ask, has another order rest and takes it
back, sells what it bought, and writes as JSON into the second file what its cache then knows.
"""

import asyncio
import json
import runpy
import sys
from decimal import Decimal
from pathlib import Path

import msgspec
from nautilus_trader.adapters.binance import (
    BinanceInstrumentProviderConfig,
    BinanceLiveDataClientFactory,
    BinanceLiveExecClientFactory,
)
from nautilus_trader.config import TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.enums import BookType, OrderSide, TimeInForce
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.trading.strategy import Strategy

BINANCE = "BINANCE"
INSTRUMENT = InstrumentId.from_str(f"SOLUSDC.{BINANCE}")
QUANTITY = Decimal("1.5")
AWAY = Decimal("0.9")
PATIENCE_S = 60.0


class OneTrade(Strategy):
    """Every step follows from the event of the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.finished = asyncio.Event()
        self.held_before = Decimal(0)
        self._bid = None
        self._resting = None

    def held(self) -> Decimal:
        """How much of the base asset the account has."""
        account = self.cache.account_for_venue(INSTRUMENT.venue)
        base = self.cache.instrument(INSTRUMENT).base_currency
        return account.balance_total(base).as_decimal()

    def on_start(self) -> None:
        self.held_before = self.held()
        self.subscribe_order_book_deltas(INSTRUMENT, BookType.L2_MBP)

    def on_order_book_deltas(self, deltas) -> None:
        book = self.cache.order_book(INSTRUMENT)
        bid, ask = book.best_bid_price(), book.best_ask_price()
        if self._bid is None and bid is not None and ask is not None:
            self._bid = bid.as_decimal()
            self._order(OrderSide.BUY, ask.as_decimal())

    def on_order_filled(self, event) -> None:
        if not self.cache.order(event.client_order_id).is_closed:
            return
        if event.order_side is OrderSide.BUY:
            self._resting = self._order(OrderSide.BUY, self._bid * AWAY)
        else:
            self.finished.set()

    def on_order_accepted(self, event) -> None:
        if self._resting is not None and event.client_order_id == self._resting.client_order_id:
            self.cancel_order(self._resting)

    def on_order_canceled(self, event) -> None:
        self._order(OrderSide.SELL, self._bid)

    def on_order_rejected(self, event) -> None:
        self._give_up(event)

    def on_order_denied(self, event) -> None:
        self._give_up(event)

    def on_stop(self) -> None:
        self.unsubscribe_order_book_deltas(INSTRUMENT)

    def _give_up(self, event) -> None:
        self.log.error(f"refused: {event.reason}")
        self.finished.set()

    def _order(self, side: OrderSide, price: Decimal):
        instrument = self.cache.instrument(INSTRUMENT)
        order = self.order_factory.limit(
            instrument_id=INSTRUMENT,
            order_side=side,
            quantity=instrument.make_qty(QUANTITY),
            price=instrument.make_price(price),
            time_in_force=TimeInForce.GTC,
        )
        self.submit_order(order)
        return order


def main(path: str, result: str) -> None:
    """Trade, and write down what the node knows of its orders and its account afterwards."""
    told = runpy.run_path(path)
    provider = BinanceInstrumentProviderConfig(load_ids=frozenset([INSTRUMENT]))
    data, execution = (
        msgspec.structs.replace(told[name], instrument_provider=provider)
        for name in ("data", "execution")
    )
    node = TradingNode(
        TradingNodeConfig(
            data_clients={BINANCE: data}, exec_clients={BINANCE: execution}, timeout_post_stop=0.5
        )
    )
    strategy = OneTrade()
    node.trader.add_strategy(strategy)
    node.add_data_client_factory(BINANCE, BinanceLiveDataClientFactory)
    node.add_exec_client_factory(BINANCE, BinanceLiveExecClientFactory)
    node.build()
    stopping = node.get_event_loop().create_task(stop_when_done(node, strategy))
    node.run()
    try:
        Path(result).write_text(json.dumps(stopping.result()))
    finally:
        node.dispose()


async def stop_when_done(node: TradingNode, strategy: OneTrade) -> dict:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await strategy.finished.wait()
            # An account learns of a trade by an event of its own, after that of the order: having
            # bought and sold the same, it has less than before by the fee.
            while strategy.held() >= strategy.held_before:
                await asyncio.sleep(0.05)
        return {"orders": orders(node), "balances": balances(node)}
    finally:
        node.stop()


def orders(node: TradingNode) -> list[dict]:
    return [
        {
            "id": order.venue_order_id.value if order.venue_order_id else None,
            "clientOrderId": order.client_order_id.value,
            "side": order.side_string(),
            "status": order.status_string(),
            "filled": str(order.filled_qty),
        }
        for order in node.cache.orders()
    ]


def balances(node: TradingNode) -> dict[str, str]:
    account = node.cache.account_for_venue(INSTRUMENT.venue)
    totals = account.balances_total()
    return {str(currency): str(total.as_decimal()) for currency, total in totals.items()}


if __name__ == "__main__":
    main(*sys.argv[1:])
