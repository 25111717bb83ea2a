"""What must be true of every history, whatever went wrong in it.

The truth is the chain of outcomes: from the last one that Redis holds back to the first, along the
numbers that each frame says it follows.
"""

from collections.abc import Hashable, Iterator
from typing import Any

import msgspec
from simulation.history import Appended, Asked, History
from simulation.postgres_rows import Rows
from stored_tables import STORED_IN

from exchange.engine.matching_engine import MatchingEngine
from exchange.engine.request_memory import RequestMemory
from exchange.engine.state_hash import StateHash, identity_of
from exchange.services.market_view import MarketViews
from exchange.services.messages import (
    JUMP,
    Canceled,
    Opened,
    Outcome,
    OutcomeFrame,
    Reason,
    Rejected,
    Replaced,
    SignedRequest,
)
from exchange.services.rows import (
    FEE_ACCOUNT,
    Account,
    Balance,
    Counters,
    Order,
    OrderList,
    Row,
    Trade,
    Transfer,
    TransferKind,
)

Faults = Iterator[str]

EXCHANGE = Account(id=FEE_ACCOUNT, name="exchange", created=0)
"""The account that is there from the start."""


def broken(history: History, rows: dict[str, Rows], views: dict[str, MarketViews]) -> list[str]:
    """Every promise that was broken, in a sentence.

    `rows` is what Postgres holds, `views` what each follower made of the outcomes.
    """
    found = list(history.faults)
    try:
        chain = Chain(history)
    except NoChain as fault:
        return [*found, f"P9: {fault}"]
    checks = (
        _written_once(history, chain),
        _answers_are_kept(history, chain),
        _at_most_once(history, chain),
        _money_and_cancels(chain),
        _same_for_everyone(history, chain),
        _ids_name_one_thing(history, chain),
        _reexecuted_alike(history, chain),
        _postgres_has_it(history, chain, rows),
        _views_show_it(chain, views),
    )
    return [*found, *(fault for check in checks for fault in check)]


class NoChain(Exception):
    """The frames do not lead from the end to the beginning."""


class Chain:
    """The outcomes that count, in order."""

    def __init__(self, history: History) -> None:
        self.frames: list[OutcomeFrame] = []
        by_last: dict[int, list[Appended]] = {}
        for appended in history.appended:
            by_last.setdefault(appended.frame.last, []).append(appended)
        held = [one.frame.last for one in history.appended if not one.lost]
        number = max(held, default=0)
        while number:
            candidates = by_last.get(number, [])
            # What Redis has lost counts where Postgres has kept it.
            found = [one for one in candidates if not one.lost] or candidates[-1:]
            if len(found) != 1:
                raise NoChain(f"{len(found)} frames end with outcome {number}")
            self.frames.append(found[0].frame)
            number = found[0].frame.previous
        self.frames.reverse()
        self.outcomes = {one.number: one for frame in self.frames for one in frame.outcomes}
        self.uids = {one.uid: one for one in self.outcomes.values() if one.uid}

    @property
    def top(self) -> int:
        return self.frames[-1].last if self.frames else 0


def _written_once(history: History, chain: Chain) -> Faults:
    epoch = 0
    commands = {number: command for number, command, frame in history.commands() if not frame.lost}
    for frame in chain.frames:
        if frame.epoch < epoch:
            yield f"P9: epoch {frame.epoch} writes {frame.last} after epoch {epoch}"
        epoch = frame.epoch
        for outcome in frame.outcomes:
            command = commands.get(outcome.number)
            if command is not None and command.uid != outcome.uid:
                yield f"outcome {outcome.number} is of another command than the journal's"


def _answers_are_kept(history: History, chain: Chain) -> Faults:
    lost = {
        id(outcome): True
        for one in history.appended
        if one.lost and one.was_synced
        for outcome in one.frame.outcomes
    }
    lost_outcomes = [
        outcome
        for one in history.appended
        if one.lost and one.was_synced
        for outcome in one.frame.outcomes
    ]
    for asked in history.asked:
        answer = asked.answer
        if answer is None or answer.outcome is None:
            continue
        told = answer.outcome
        if chain.outcomes.get(told.number) != told and (not lost or told not in lost_outcomes):
            yield f"P1: {_who(asked)} was told outcome {told.number}, which is not there"
        is_own = told.uid == asked.command.uid
        is_repeat = told.request is not None and told.request == asked.command.request
        if not is_own and not is_repeat and not _same_reference(asked, told):
            yield f"P3: {_who(asked)} was told outcome {told.number}, which is somebody else's"


def _same_reference(asked: Asked, told: Outcome) -> bool:
    reference = getattr(asked.command, "reference", None)
    return any(isinstance(row, Transfer) and row.reference == reference for row in told.rows)


def _at_most_once(history: History, chain: Chain) -> Faults:
    journalled: dict[int, int] = {}
    ever: set[int] = set()
    for _, command, journalled_frame in history.commands():
        ever.add(command.uid)
        if not journalled_frame.lost:
            journalled[command.uid] = journalled.get(command.uid, 0) + 1
    for asked in history.asked:
        if asked.answer is not None and asked.answer.refused and asked.command.uid in ever:
            yield f"P3: {_who(asked)} was refused ({asked.answer.refused}), and it was journalled"
        if journalled.get(asked.command.uid, 0) > 1:
            yield f"P2: the command of {_who(asked)} was journalled more than once"
    executed: dict[bytes, SignedRequest] = {}
    for frame in chain.frames:
        for outcome in frame.outcomes:
            signed = outcome.signed_request
            if signed is None or outcome.result == Rejected(reason=Reason.LATE):
                continue
            first = executed.setdefault(signed.request, signed)
            if first is not signed:
                yield f"P2: one request was executed as {first.number} and as {signed.number}"


def _money_and_cancels(chain: Chain) -> Faults:
    balances: dict[tuple[int, str], Balance] = {}
    held: dict[str, int] = {}
    paid_in: dict[str, int] = {}
    ended: dict[tuple[str, int], int] = {}
    for outcome in chain.outcomes.values():
        for row in outcome.rows:
            if isinstance(row, Balance):
                before = balances.get((row.account, row.asset))
                total = before.free + before.locked if before is not None else 0
                held[row.asset] = held.get(row.asset, 0) + row.free + row.locked - total
                balances[row.account, row.asset] = row
                if row.free < 0 or row.locked < 0:
                    yield f"P4: a negative balance in outcome {outcome.number}"
            elif isinstance(row, Transfer):
                sign = 1 if row.kind is TransferKind.DEPOSIT else -1
                paid_in[row.asset] = paid_in.get(row.asset, 0) + sign * row.amount
            elif isinstance(row, Order):
                if (row.symbol, row.id) in ended and row.is_open:
                    yield f"P6: order {row.id}, which was canceled, is open in {outcome.number}"
            elif isinstance(row, Trade):
                for order in (row.buy_order, row.sell_order):
                    if (row.symbol, order) in ended:
                        yield f"P6: order {order}, which was canceled, trades in {outcome.number}"
        if held != paid_in and any(held.get(asset, 0) != paid_in.get(asset, 0) for asset in held):
            yield f"P4: after outcome {outcome.number} there is {held}, but {paid_in} came in"
        result: Any = outcome.result
        if isinstance(result, Replaced):
            result = result.canceled
        if isinstance(result, Canceled):
            ended |= {(result.symbol, order): outcome.number for order in result.order_ids}


def _same_for_everyone(history: History, chain: Chain) -> Faults:
    lost = [
        outcome
        for one in history.appended
        if one.lost and one.was_synced
        for outcome in one.frame.outcomes
    ]
    for seen in history.seen:
        outcome = seen.outcome
        if chain.outcomes.get(outcome.number) != outcome and outcome not in lost:
            yield f"P9: {seen.who} saw an outcome {outcome.number} that nobody else has"


def _ids_name_one_thing(history: History, chain: Chain) -> Faults:
    """Also those of outcomes that were lost after somebody may have seen them."""
    orders: dict[tuple[str, int], tuple[int, str, int]] = {}
    trades: dict[tuple[str, int], Trade] = {}
    visible = list(chain.outcomes.values())
    for one in history.appended:
        if one.lost and one.was_synced:
            visible += [
                outcome
                for outcome in one.frame.outcomes
                if chain.outcomes.get(outcome.number) != outcome
            ]
    for outcome in visible:
        for row in outcome.rows:
            if isinstance(row, Order):
                order = (row.account, row.side.value, row.created)
                known = orders.setdefault((row.symbol, row.id), order)
                if known != order:
                    yield f"P8: order {row.symbol} {row.id} is {known} and {order}"
            elif isinstance(row, Trade) and trades.setdefault((row.symbol, row.id), row) != row:
                yield f"P8: trade {row.symbol} {row.id} was two different ones"


def _reexecuted_alike(history: History, chain: Chain) -> Faults:
    """One engine that never stopped comes to the same outcomes as all that took turns."""
    commands = {number: command for number, command, frame in history.commands()}
    jumps = _epochs_that_jump(history, chain)
    engine = MatchingEngine()
    epoch = 0
    counters: dict[str, Counters] = {}
    for frame in chain.frames:
        if frame.epoch != epoch:
            epoch = frame.epoch
            for row in counters.values():
                # One that jumped and died has taken with it what it had not written.
                engine.restore(row)
            if epoch in jumps:
                engine.jump(JUMP)
        counters |= {
            row.symbol: row
            for outcome in frame.outcomes
            for row in outcome.rows
            if isinstance(row, Counters)
        }
        for outcome in frame.outcomes:
            if isinstance(outcome.result, Opened):
                # In no order: an engine that was loaded has its markets by name.
                if {*engine.counters()} != {*outcome.rows}:
                    yield f"epoch {epoch} opened with {outcome.rows}, not {engine.counters()}"
                continue
            command = commands.get(outcome.number)
            if command is None:
                yield f"outcome {outcome.number} is of no command"
                return
            again = engine.apply(outcome.number, command, outcome.time)
            if again != outcome:
                yield f"executed again, outcome {outcome.number} differs: {outcome} / {again}"
                return
        engine.requests.forget(frame.requests_since)


def _epochs_that_jump(history: History, chain: Chain) -> set[int]:
    """Those that found the gate closed, unless they opened it right behind the last outcome."""
    return {epoch for epoch, was_open in history.claims.items() if not was_open} - {
        frame.epoch
        for frame in chain.frames
        if isinstance(frame.outcomes[0].result, Opened) and frame.last == frame.previous + 1
    }


def _postgres_has_it(history: History, chain: Chain, rows: dict[str, Rows]) -> Faults:
    """All of it, and nothing that it ever had is gone."""
    (position,) = rows["position"].values()
    if position[1] != chain.top:
        yield f"Postgres stands at {position[1]}, the outcomes at {chain.top}"
        return
    if history.committed != sorted(history.committed):
        yield "Postgres' position went back"
    for number in history.committed:
        if number and number not in chain.outcomes:
            yield f"P1: Postgres had outcome {number}, which is not in the chain"
    expected: dict[type, dict[Hashable, Row]] = {}
    requests = RequestMemory()
    state_hash = StateHash(requests)
    state_hash.update([EXCHANGE])
    for frame in chain.frames:
        for outcome in frame.outcomes:
            state_hash.update(outcome.rows)
            if outcome.signed_request is not None:
                requests.remember(outcome.signed_request)
            for row in outcome.rows:
                expected.setdefault(type(row), {})[_key(row)] = row
        requests.forget(frame.requests_since)
    if state_hash.value != chain.frames[-1].state_hash:
        yield "the journalled state hash is not that of the journalled rows"
    for kind in (Order, Balance, Trade, Transfer, OrderList):
        found = _stored(kind, rows)
        wanted = expected.get(kind, {})
        if found != wanted:
            different = [key for key in {*found, *wanted} if found.get(key) != wanted.get(key)]
            yield f"Postgres differs in {kind.__name__} {sorted(map(str, different))[:3]}"


def _key(row: Any) -> Hashable:
    if isinstance(row, Trade):
        return (row.symbol, row.id)
    if isinstance(row, Transfer):
        return row.number
    return identity_of(row)


def _stored(kind: type[Any], rows: dict[str, Rows]) -> dict[Hashable, Any]:
    width, tag = len(kind.__struct_fields__), kind.__struct_config__.tag
    found = (
        msgspec.convert((tag, *record[:width]), kind)
        for record in rows[STORED_IN[kind].name].values()
    )
    return {_key(row): row for row in found}


def _views_show_it(chain: Chain, views: dict[str, MarketViews]) -> Faults:
    """Each follower's book is the sum of the open orders."""
    orders = {
        (row.symbol, row.id): row
        for outcome in chain.outcomes.values()
        for row in outcome.rows
        if isinstance(row, Order)
    }
    levels: dict[tuple[str, str, int], int] = {}
    for order in orders.values():
        if order.is_resting:
            key = (order.symbol, order.side.value, order.price)
            levels[key] = levels.get(key, 0) + order.shown
    for who, view in views.items():
        shown = {
            (symbol, side, price): quantity
            for symbol, market in view.markets.items()
            for side, book in (("BUY", market.bids), ("SELL", market.asks))
            for price, quantity in book.items()
        }
        if view.position != chain.top:
            yield f"{who} stands at {view.position}, the outcomes at {chain.top}"
        elif shown != levels:
            yield f"the book of {who} is not that of the open orders"


def _who(asked: Asked) -> str:
    kind = type(asked.command).__name__
    return f"{asked.client} ({kind} at {asked.began:.3f} s through {asked.backend})"
