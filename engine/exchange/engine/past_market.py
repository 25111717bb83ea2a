"""What was traded before anybody came: seeded commands and their times, for `history`. Pure.

In each market one account offers and another one takes all of it, so that nothing is left open
behind any moment. The prices wander, and end where such a market usually begins.
"""

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import exp, log, sqrt

from msgspec import Struct

from exchange.services.client_ids import made_up
from exchange.services.commands import (
    AddAsset,
    AddMarket,
    AnyCommand,
    CreateAccount,
    Deposit,
    NewOrder,
    PlaceOrder,
)
from exchange.services.markets import USUAL_PRICES, Market, default_markets
from exchange.services.messages import SECOND_US
from exchange.services.orders import OrderType, Side

SPARSE_S, DENSE_S = 30, 10
"""From one moment to the next; the last hour is denser."""
DENSE_FOR_S = 3_600
OFFERS_MAX = 2

VOLATILITY = 0.000_09
"""Of a price, relative, per square root of a second: that of the simulated markets."""
HALF_SPREAD = 0.000_02
"""From the price to the first offer, relative; each further one is as much further away."""
WORTH, WORTH_DEVIATION, WORTH_MIN = 300.0, 1.2, 20.0
"""Of an offer, for each second of its step, in the quote asset: the median, the standard deviation
of its logarithm, and the least of any offer."""
FUNDS = 10**12
"""Worth of the quote asset that each account gets of everything, so that it never runs out."""


class Moment(Struct, frozen=True):
    """Commands that are executed at one time, in µs."""

    time: int
    commands: Sequence[AnyCommand]


class Traders(Struct, frozen=True):
    """The ids of the two accounts."""

    maker: int
    taker: int


def beginning() -> list[AnyCommand]:
    """The default markets, and at the end the two accounts: the maker's, and the taker's."""
    assets, markets = default_markets()
    return [
        *(AddAsset(asset=asset) for asset in assets),
        *(AddMarket(market=market) for market in markets),
        CreateAccount(name="history-maker"),
        CreateAccount(name="history-taker"),
    ]


def funding(traders: Traders) -> list[AnyCommand]:
    """Plenty of everything for both."""
    assets, _ = default_markets()
    return [
        Deposit(
            account=account,
            asset=asset.name,
            amount=FUNDS // USUAL_PRICES.get(asset.name, 1) * 10**asset.decimals,
            reference=f"history-{account}-{asset.name}",
        )
        for account in (traders.maker, traders.taker)
        for asset in assets
    ]


def trading(traders: Traders, *, seed: int, begin: int, end: int) -> Iterator[Moment]:
    """All that is traded from `begin` until `end`, in µs, in all markets."""
    _, markets = default_markets()
    times = list(_times(begin, end))
    steps_s = [(after - time) / SECOND_US for time, after in pairwise((*times, end))]
    crowds = [_Crowd(market, traders, seed) for market in markets]
    paths = [crowd.path(steps_s) for crowd in crowds]
    for time, seconds, *prices in zip(times, steps_s, *paths, strict=True):
        commands = [
            command
            for crowd, price in zip(crowds, prices, strict=True)
            for command in crowd.trade(price, seconds)
        ]
        yield Moment(time, commands)


def _times(begin: int, end: int) -> Iterator[int]:
    time = begin
    while time < end:
        yield time
        is_dense = time >= end - DENSE_FOR_S * SECOND_US
        time += (DENSE_S if is_dense else SPARSE_S) * SECOND_US


class _Crowd:
    """Both accounts in one market."""

    def __init__(self, market: Market, traders: Traders, seed: int) -> None:
        self._market, self._traders = market, traders
        self._chance = random.Random(f"{seed}/{market.symbol}")  # noqa: S311

    def path(self, steps_s: Sequence[float]) -> list[float]:
        """A price for each step; drawn from its end, which is where the market goes on from."""
        price, prices = float(USUAL_PRICES[self._market.base]), []
        for seconds in reversed(steps_s):
            prices.append(price)
            price *= exp(self._chance.gauss(0, VOLATILITY) * sqrt(seconds))
        return prices[::-1]

    def trade(self, price: float, seconds: float) -> list[AnyCommand]:
        """Some offers on one side, and an order that takes exactly all of them."""
        market, chance = self._market, self._chance
        taking, sign = chance.choice(((Side.BUY, 1), (Side.SELL, -1)))
        offering = Side.SELL if taking is Side.BUY else Side.BUY
        unit = 10**market.quote_decimals
        commands: list[AnyCommand] = []
        total = 0
        for level in range(1, chance.randint(1, OFFERS_MAX) + 1):
            offered = price * (1 + sign * level * HALF_SPREAD)
            worth = max(WORTH_MIN, seconds * chance.lognormvariate(log(WORTH), WORTH_DEVIATION))
            quantity = round(worth / offered * 10**market.base_decimals / market.lot) * market.lot
            ticks = round(offered * unit / market.tick)
            commands.append(
                self._order(self._traders.maker, offering, quantity, price=ticks * market.tick)
            )
            total += quantity
        return [*commands, self._order(self._traders.taker, taking, total)]

    def _order(self, account: int, side: Side, quantity: int, price: int = 0) -> PlaceOrder:
        """A limit order, or without a price a market order."""
        uid = self._chance.getrandbits(63)
        return PlaceOrder(
            uid=uid,
            account=account,
            symbol=self._market.symbol,
            order=NewOrder(
                side=side,
                type=OrderType.LIMIT if price else OrderType.MARKET,
                price=price,
                quantity=quantity,
                client_order_id=made_up(uid.to_bytes(8)),
            ),
        )
