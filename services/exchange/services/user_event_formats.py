"""Events of accounts as the public API writes them: one-letter names, numbers as text."""

from collections.abc import Mapping
from typing import Any, assert_never

from exchange.services.amounts import format_amount
from exchange.services.markets import Asset, Market
from exchange.services.messages import Reason
from exchange.services.orders import ListStatus, OrderStatus, Side
from exchange.services.rows import Order, PreventedMatch, Trade, TransferKind
from exchange.services.user_events import (
    AccountEvent,
    BalanceReport,
    Execution,
    ListReport,
    OrderReport,
    TransferReport,
)

Json = dict[str, Any]

NONE = -1
"""In place of an id that there is not."""


_REJECT_REASONS = {
    Reason.INSUFFICIENT_BALANCE: "INSUFFICIENT_BALANCES",
    Reason.WOULD_TRIGGER: "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY",
    Reason.WOULD_MATCH: "WOULD_MATCH_IMMEDIATELY",
}


def event_content(
    event: AccountEvent, markets: Mapping[str, Market], assets: Mapping[str, Asset], time_unit: int
) -> Json:
    """`time_unit` is what times are counted in, in µs."""
    match event:
        case OrderReport():
            return _execution_report(event, markets[event.order.symbol], assets, time_unit)
        case ListReport():
            return _list_status(event, time_unit)
        case BalanceReport():
            return _account_position(event, assets, time_unit)
        case TransferReport():
            return _balance_update(event, assets, time_unit)
        case _:
            assert_never(event)


def terminated(time: int, time_unit: int) -> Json:
    """There will be no more events."""
    return {"e": "eventStreamTerminated", "E": time // time_unit}


# --- Orders -----------------------------------------------------------------------------------


def _execution_report(
    report: OrderReport, market: Market, assets: Mapping[str, Asset], time_unit: int
) -> Json:
    order, terms = report.order, report.order.terms
    time = report.time // time_unit
    content = {
        "e": "executionReport",
        "E": time,
        "s": order.symbol,
        "c": report.client_order_id,
        "S": order.side.value,
        "o": order.type.value,
        "f": order.time_in_force.value,
        "q": _base(market, order.quantity),
        "p": _quote(market, order.price),
        "P": _quote(market, terms.stop_price),
        "F": _base(market, terms.iceberg_quantity),
        "g": terms.list_id or NONE,
        "C": report.original_client_order_id,
        "x": report.execution.value,
        "X": order.status.value,
        "r": "NONE" if report.reason is None else _REJECT_REASONS.get(report.reason, "NONE"),
        "i": order.id,
        **_last_execution(report, market, assets),
        "z": _base(market, order.filled),
        "T": time,
        "I": report.id,
        "w": _is_working(report),
        "O": order.created // time_unit,
        "Z": _quote(market, order.filled_quote),
        "Q": _quote(market, order.quote_quantity),
        "V": order.self_trade.value,
    }
    working_time = order.created if terms.working_time is None else terms.working_time
    if working_time and report.execution is not Execution.REJECTED:
        content["W"] = working_time // time_unit
    content |= _conditional(order, market, time_unit)
    if report.match is not None:
        content |= _prevention(report.match, order, market)
    return content


def _last_execution(report: OrderReport, market: Market, assets: Mapping[str, Asset]) -> Json:
    trade = report.trade
    if trade is None:
        zero = {"l": _base(market, 0), "L": _quote(market, 0), "Y": _quote(market, 0)}
        return zero | {"n": "0", "N": None, "t": NONE, "m": False, "M": False}
    fee, asset = _commission(report.order.side, trade, market)
    return {
        "l": _base(market, trade.quantity),
        "L": _quote(market, trade.price),
        "Y": _quote(market, trade.quote_quantity),
        "n": format_amount(fee, assets[asset].decimals),
        "N": asset,
        "t": trade.id,
        "m": report.order.side is not trade.taker_side,
        "M": True,
    }


def _is_working(report: OrderReport) -> bool:
    """Whether it is in the book; of a market order only that it has begun."""
    if report.order.status is OrderStatus.PENDING_NEW or not report.order.is_resting:
        return False
    return report.execution is Execution.NEW or not report.order.type.is_market


def _commission(side: Side, trade: Trade, market: Market) -> tuple[int, str]:
    if side is Side.BUY:
        return trade.buy_fee, trade.buy_fee_asset or market.base
    return trade.sell_fee, trade.sell_fee_asset or market.quote


def _conditional(order: Order, market: Market, time_unit: int) -> Json:
    """What only some orders have."""
    terms = order.terms
    content: Json = {}
    if terms.trailing_delta:
        content["d"] = terms.trailing_delta
        if terms.trailing_time:
            content["D"] = terms.trailing_time // time_unit
    if terms.strategy_id is not None:
        content["j"] = terms.strategy_id
    if terms.strategy_type is not None:
        content["J"] = terms.strategy_type
    if terms.prevented_match_id is not None:
        content["v"] = terms.prevented_match_id
        content["A"] = _base(market, terms.prevented)
    if terms.expiry_reason is not None:
        content["eR"] = terms.expiry_reason.value
    return content


def _prevention(match: PreventedMatch, order: Order, market: Market) -> Json:
    """The trade that did not happen, as this side of it sees it."""
    is_taker = order.id == match.taker_order
    lost = match.taker_quantity if is_taker else match.maker_quantity
    # No more than the smaller of the two would have been traded.
    quantity = min(one for one in (match.taker_quantity, match.maker_quantity) if one)
    return {
        "B": _base(market, lost),
        "u": NONE,
        "U": match.maker_order if is_taker else match.taker_order,
        "Cs": match.symbol,
        "pl": _base(market, quantity),
        "pL": _quote(market, match.price),
        "pY": _quote(market, market.notional(match.price, quantity)),
    }


def _list_status(report: ListReport, time_unit: int) -> Json:
    order_list = report.order_list
    is_over = order_list.status is ListStatus.ALL_DONE
    kind = "UPDATED" if report.is_updated else "ALL_DONE" if is_over else "EXEC_STARTED"
    return {
        "e": "listStatus",
        "E": report.time // time_unit,
        "s": order_list.symbol,
        "g": order_list.id,
        "c": order_list.contingency.value,
        "l": kind,
        "L": order_list.status.value,
        "r": "NONE",
        "C": order_list.client_list_id,
        "T": report.time // time_unit,
        "O": [
            {"s": order_list.symbol, "i": order_id, "c": client_order_id}
            for order_id, client_order_id in report.members
        ],
    }


# --- Money ------------------------------------------------------------------------------------


def _account_position(report: BalanceReport, assets: Mapping[str, Asset], time_unit: int) -> Json:
    return {
        "e": "outboundAccountPosition",
        "E": report.time // time_unit,
        "u": report.time // time_unit,
        "B": [
            {
                "a": one.asset,
                "f": format_amount(one.free, assets[one.asset].decimals),
                "l": format_amount(one.locked, assets[one.asset].decimals),
            }
            for one in report.balances
        ],
    }


def _balance_update(report: TransferReport, assets: Mapping[str, Asset], time_unit: int) -> Json:
    transfer = report.transfer
    is_received = transfer.kind is TransferKind.DEPOSIT or report.account == transfer.counterparty
    delta = transfer.amount if is_received else -transfer.amount
    return {
        "e": "balanceUpdate",
        "E": report.time // time_unit,
        "a": transfer.asset,
        "d": format_amount(delta, assets[transfer.asset].decimals),
        "T": transfer.time // time_unit,
    }


def _base(market: Market, units: int) -> str:
    return format_amount(units, market.base_decimals)


def _quote(market: Market, units: int) -> str:
    return format_amount(units, market.quote_decimals)
