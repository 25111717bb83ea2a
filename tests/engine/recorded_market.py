"""Some hundred commands of a busy little market, by chance but always the same."""

import random
from collections.abc import Iterator

from crowd import Crowd
from msgspec.structs import replace
from venue import MARKET, SYMBOL, UNIT

from exchange.engine.matching_engine import MatchingEngine
from exchange.services.commands import (
    AddAsset,
    AddMarket,
    AnyCommand,
    CancelAllOrders,
    CancelOrder,
    CreateAccount,
    Deposit,
    NewOrder,
    PlaceOrder,
    SetMode,
    Withdraw,
)
from exchange.services.markets import Asset, Mode
from exchange.services.orders import OrderType, Side
from exchange.services.rows import Author

TRADERS = 4


def opening(first: int) -> list[AnyCommand]:
    """A market, and accounts with money; `first` is the number that the first one will get."""
    commands: list[AnyCommand] = [
        AddAsset(asset=Asset(MARKET.base, MARKET.base_decimals)),
        AddAsset(asset=Asset(MARKET.quote, MARKET.quote_decimals)),
        AddMarket(market=MARKET),
    ]
    accounts = [first + 3 + trader for trader in range(TRADERS)]
    commands += [CreateAccount(name=f"trader-{account}") for account in accounts]
    for account in accounts:
        for asset, amount in ((MARKET.base, 1_000), (MARKET.quote, 100_000)):
            commands.append(
                Deposit(
                    account=account,
                    asset=asset,
                    amount=amount * UNIT,
                    reference=f"{account}-{asset}",
                    author=Author(name="carol", reason="to begin with"),
                )
            )
    return commands


def trading(first: int, count: int, seed: int = 1) -> Iterator[AnyCommand]:
    """So many commands of accounts that `opening` made with the same `first`."""
    chance = random.Random(seed)
    accounts = [first + 3 + trader for trader in range(TRADERS)]
    for number in range(count):
        account = chance.choice(accounts)
        kind = chance.random()
        if kind < 0.75:
            yield _order(chance, account, f"{seed}-{number}")
        elif kind < 0.9:
            own = f"{seed}-{chance.randrange(number + 1)}"
            yield CancelOrder(account=account, symbol=SYMBOL, client_order_id=own)
        elif kind < 0.93:
            yield CancelAllOrders(account=account, symbol=SYMBOL)
        elif kind < 0.96:
            reference = f"out-{seed}-{number}"
            yield Withdraw(account=account, asset=MARKET.quote, amount=UNIT, reference=reference)
        elif kind < 0.98:
            yield SetMode(symbol=None, mode=Mode.RUNNING)
        else:
            yield CreateAccount(name=f"named-{seed}-{number}")


def _order(chance: random.Random, account: int, name: str) -> PlaceOrder:
    is_market = chance.random() < 0.2
    order = NewOrder(
        side=chance.choice(list(Side)),
        type=OrderType.MARKET if is_market else OrderType.LIMIT,
        price=0 if is_market else chance.randrange(95, 106) * UNIT,
        quantity=chance.randrange(100, 3_000) * UNIT // 1_000,
        client_order_id=name,
    )
    return PlaceOrder(
        account=account, symbol=SYMBOL, order=order, request=name.encode(), deadline=2**53
    )


def crowded(first: int, count: int, seed: int) -> list[AnyCommand]:
    """Every kind of order on two markets, with discounts on fees; numbers begin at `first`."""
    chance, engine, commands = random.Random(seed), MatchingEngine(), list[AnyCommand]()

    def do(command: AnyCommand) -> int:
        number = first + len(commands)
        engine.apply(number, command, 1_700_000_000_000_000 + number)
        commands.append(command)
        return number

    markets = (MARKET, replace(MARKET, symbol="BNBUSDC", base="BNB"))
    for asset in ("SOL", "USDC", "BNB"):
        do(AddAsset(asset=Asset(asset, 8)))
    for market in markets:
        do(AddMarket(market=market))
    accounts = [do(CreateAccount(name=f"crowd-{place}")) for place in range(3)]
    for account in accounts:
        for asset, amount in (("SOL", 10), ("USDC", 1_000), ("BNB", 5)):
            reference = f"{account}-{asset}"
            units = amount * UNIT
            do(Deposit(account=account, asset=asset, amount=units, reference=reference))
    crowd = Crowd(engine, accounts, [market.symbol for market in markets], spread=4)
    for _ in range(count):
        do(crowd.command(chance))
    return commands
