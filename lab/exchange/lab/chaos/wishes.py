"""Random orders: what traders ask for, drawn from a seeded source of chance."""

import random

from msgspec import Struct

from exchange.lab.chaos.found import DECIMALS
from exchange.lab.chaos.memory import OrderMemory
from exchange.services.amounts import format_amount


class Ground(Struct, frozen=True):
    """A market to trade on: prices and quantities are drawn from these, in 10^-8."""

    symbol: str
    base: str
    quote: str
    prices: range
    quantities: range


GROUNDS = (
    Ground(
        "SOLUSDC", "SOL", "USDC",
        range(99_50_000000, 100_51_000000, 1_000000), range(10_000000, 200_000000, 100000),
    ),
    Ground(
        "ETHUSDT", "ETH", "USDT",
        range(1990_00_000000, 2010_25_000000, 25_000000), range(1_000000, 10_000000, 10000),
    ),
)  # fmt: skip
FUNDS = {"SOL": 50, "USDC": 5_000, "ETH": 2, "USDT": 4_000}
"""What an account begins with, in whole units: little enough to be short of it now and then."""

# Type, time in force, whether by quote amount, and how often.
_KINDS = (
    ("LIMIT", "GTC", False, 72),
    ("LIMIT", "IOC", False, 8),
    ("LIMIT", "FOK", False, 4),
    ("LIMIT_MAKER", "", False, 6),
    ("MARKET", "", False, 7),
    ("MARKET", "", True, 3),
)


def draw_order(chance: random.Random) -> tuple[OrderMemory, dict[str, object]]:
    """A random order, and the parameters that ask for it."""
    ground, side = chance.choice(GROUNDS), chance.choice(("BUY", "SELL"))
    price, quantity = chance.choice(ground.prices), chance.choice(ground.quantities)
    (kind,) = chance.choices(_KINDS, [weight for *_, weight in _KINDS])
    type, time_in_force, by_quote, _ = kind
    order = OrderMemory(symbol=ground.symbol, side=side, type=type)
    wish: dict[str, object] = {"symbol": ground.symbol, "side": side, "type": type}
    wish["newOrderRespType"] = "FULL"
    if time_in_force:
        wish["timeInForce"] = time_in_force
    if type != "MARKET":
        order.price = price
        wish["price"] = amount_text(price)
    if by_quote:
        wish["quoteOrderQty"] = amount_text(price * quantity // 10**DECIMALS)
    else:
        order.quantity = quantity
        wish["quantity"] = amount_text(quantity)
    return order, wish


def draw_amount(chance: random.Random, kind: str) -> tuple[str, int]:
    """An asset and how much of it to pay in or out: in more often, since fees are paid."""
    ground = chance.choice(GROUNDS)
    asset = chance.choice((ground.base, ground.quote))
    most = FUNDS[asset] * 10**DECIMALS // (5 if kind == "DEPOSIT" else 20)
    return asset, chance.randrange(1, most)


def amount_text(units: int) -> str:
    return format_amount(units, DECIMALS)
