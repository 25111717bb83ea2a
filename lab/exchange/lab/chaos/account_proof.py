"""What one account was told, held against what is found: pure, so that it can be seen to fail."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from exchange.lab.chaos.evidence import Account, FoundTransfer
from exchange.lab.chaos.findings import Findings, Promise
from exchange.lab.chaos.found import OPEN, FoundOrder, FoundTrade
from exchange.lab.chaos.memory import AccountMemory, OrderMemory, Told

UNIT = 10**8
Assets = dict[str, tuple[str, str]]
"""Base and quote of every market."""


def prove_account(
    memory: AccountMemory,
    by_api: Account,
    by_rows: Account,
    transfers: Sequence[FoundTransfer],
    assets: Assets,
    findings: Findings,
) -> None:
    """Every promise that was made to one account."""
    _prove_same(memory.name, by_api, by_rows, findings)
    _prove_orders(memory, by_api, findings)
    _prove_transfers(memory, transfers, findings)
    _prove_balances(memory.name, by_api, transfers, assets, findings)
    _prove_locks(memory.name, by_api, assets, findings)


def _prove_same(name: str, by_api: Account, by_rows: Account, findings: Findings) -> None:
    for told, stored in ((by_api.orders, by_rows.orders), (by_api.trades, by_rows.trades)):
        findings.check(
            Promise.SAME,
            len(told) == len(stored),
            name,
            len(told),
            "by API,",
            len(stored),
            "stored",
        )
        for one, other in zip(told, stored, strict=False):
            findings.check(Promise.SAME, one == other, one, "is stored as", other)
    findings.check(
        Promise.SAME, by_api.holdings == by_rows.holdings,
        name, by_api.holdings, "are stored as", by_rows.holdings,
    )  # fmt: skip


# --- Orders ---


def _prove_orders(memory: AccountMemory, account: Account, findings: Findings) -> None:
    trades: dict[tuple[str, int], list[FoundTrade]] = defaultdict(list)
    for trade in account.trades:
        trades[trade.symbol, trade.order_id].append(trade)
    found: dict[int, FoundOrder] = {}
    for order in account.orders:
        index = memory.index(order.client_order_id)
        if findings.check(Promise.NOTHING_ELSE, index is not None, "nobody sent", order):
            assert index is not None
            findings.check(
                Promise.UNKNOWN if memory.orders[index].told is Told.UNKNOWN else Promise.ORDERS,
                index not in found, "executed twice:", found.get(index), order,
            )  # fmt: skip
            found[index] = order
        _prove_sums(order, trades[order.symbol, order.id], findings)
    known = {(order.symbol, order.id) for order in account.orders}
    for key, some in trades.items():
        findings.check(
            Promise.NOTHING_ELSE, key in known or not some, "trades of no order:", some[:1]
        )
    for index, told in enumerate(memory.orders):
        _prove_order(memory, index, told, found.get(index), findings)
        if (one := found.get(index)) is not None:
            _prove_fills(told, trades[one.symbol, one.id], findings)


def _prove_order(
    memory: AccountMemory,
    index: int,
    told: OrderMemory,
    found: FoundOrder | None,
    findings: Findings,
) -> None:
    name = memory.client_order_id(index)
    if told.told is Told.REFUSED:
        findings.check(Promise.REFUSED, found is None, name, "was refused, and is", found)
        return
    if told.told is Told.UNKNOWN:
        is_whole = found is None or told.is_this(found)
        findings.check(Promise.UNKNOWN, is_whole, name, "was sent as", told, "and is", found)
    else:
        is_there = found is not None and told.is_this(found) and told.can_become(found)
        findings.check(Promise.ORDERS, is_there, name, "was told to be", told, "and is", found)
    if told.cancel is Told.DONE:
        is_final = found is not None and (found.status, found.executed) == (
            "CANCELED", told.executed,
        )  # fmt: skip
        findings.check(Promise.CANCELS, is_final, name, "was cancelled as", told, "and is", found)
    elif found is not None and found.status == "CANCELED":
        # An order that was unknown may have come late, when all orders were cancelled.
        was_asked = told.cancel is Told.UNKNOWN or (
            told.told is Told.UNKNOWN and told.symbol in memory.unsure_cancels
        )
        findings.check(Promise.NOTHING_ELSE, was_asked, "nobody cancelled", found)


def _prove_sums(order: FoundOrder, trades: Sequence[FoundTrade], findings: Findings) -> None:
    """An order is what its trades add up to, and its status says so."""
    findings.check(
        Promise.FILLS,
        sum(trade.quantity for trade in trades) == order.executed
        and sum(trade.quote for trade in trades) == order.executed_quote,
        order, "has", len(trades), "trades that do not add up",
    )  # fmt: skip
    findings.check(Promise.ORDERS, _is_consistent(order), "the status of", order)


def _is_consistent(order: FoundOrder) -> bool:
    match order.status:
        case "NEW":
            return order.executed == 0
        case "PARTIALLY_FILLED":
            return 0 < order.executed < order.quantity
        case "FILLED":
            return order.executed == order.quantity
        case "CANCELED":
            return order.executed < order.quantity
        case _:
            return order.executed <= order.quantity


def _prove_fills(told: OrderMemory, trades: Sequence[FoundTrade], findings: Findings) -> None:
    counts = Counter(trade.id for trade in trades)
    for id, count in counts.items():
        findings.check(Promise.FILLS, count == 1, "trade", id, "is there", count, "times")
    by_id = {trade.id: trade for trade in trades}
    for fill in told.fills:
        trade = by_id.get(fill.trade_id)
        findings.check(
            Promise.FILLS,
            trade is not None
            and (trade.price, trade.quantity, trade.commission, trade.commission_asset)
            == (fill.price, fill.quantity, fill.commission, fill.commission_asset),
            fill, "was told, and is", trade,
        )  # fmt: skip


# --- Money ---


def _prove_transfers(
    memory: AccountMemory, transfers: Sequence[FoundTransfer], findings: Findings
) -> None:
    found: dict[str, list[FoundTransfer]] = defaultdict(list)
    for transfer in transfers:
        found[transfer.reference].append(transfer)
        findings.check(
            Promise.NOTHING_ELSE, transfer.reference in memory.transfers, "nobody sent", transfer
        )
    for reference, told in memory.transfers.items():
        there = found[reference]
        wanted = FoundTransfer(reference, told.kind, told.asset, told.amount)
        allowed = {
            Told.DONE: ([wanted],),
            Told.REFUSED: ([],),
            Told.UNKNOWN: ([], [wanted]),
        }[told.told]
        findings.check(
            Promise.TRANSFERS, there in allowed, wanted, "was", told.told.name, "and is", there
        )


def _prove_balances(
    name: str,
    account: Account,
    transfers: Sequence[FoundTransfer],
    assets: Assets,
    findings: Findings,
) -> None:
    expected: dict[str, int] = defaultdict(int)
    for transfer in transfers:
        sign = 1 if transfer.kind == "DEPOSIT" else -1
        expected[transfer.asset] += sign * transfer.amount
    for trade in account.trades:
        base, quote = assets[trade.symbol]
        sign = 1 if trade.is_buyer else -1
        expected[base] += sign * trade.quantity
        expected[quote] -= sign * trade.quote
        expected[trade.commission_asset] -= trade.commission
    for asset in expected.keys() | account.holdings.keys():
        held = sum(account.holdings.get(asset, (0, 0)))
        findings.check(
            Promise.BALANCES, held == expected[asset],
            name, "has", held, "units of", asset, "and should have", expected[asset],
        )  # fmt: skip


def _prove_locks(name: str, account: Account, assets: Assets, findings: Findings) -> None:
    needed: dict[str, int] = defaultdict(int)
    for order in account.orders:
        if order.status in OPEN:
            base, quote = assets[order.symbol]
            remaining = order.quantity - order.executed
            if order.side == "SELL":
                needed[base] += remaining
            else:
                needed[quote] += order.price * remaining // UNIT
    for asset in needed.keys() | account.holdings.keys():
        locked = account.holdings.get(asset, (0, 0))[1]
        findings.check(
            Promise.LOCKS, locked == needed[asset],
            name, "has", locked, "units of", asset, "locked and needs", needed[asset],
        )  # fmt: skip
