"""SQL about money that moves beside trading, and about acts on record: it only reads."""

from collections.abc import Sequence

import asyncpg
import msgspec

from exchange.postgres_db.stored import TABLES, column_names
from exchange.services.rows import Act, Withdrawal

LATEST = 2**63 - 1


class LedgerRow(msgspec.Struct, frozen=True):
    """One change of what an account holds, signed; `place` puts those of one time in order."""

    time: int
    place: str
    kind: str
    asset: str
    amount: int
    reference: str | None
    trade_id: int | None
    symbol: str | None


async def select_withdrawals(
    connection: asyncpg.Connection,
    accounts: Sequence[int] | None,
    statuses: Sequence[str] | None,
    before: int | None,
    limit: int,
) -> list[Withdrawal]:
    """The newest first; what is None may be anything."""
    records = await connection.fetch(
        _WITHDRAWALS, accounts, statuses, LATEST if before is None else before, limit
    )
    return [msgspec.convert(("Withdrawal", *record), Withdrawal) for record in records]


async def select_withdrawal(connection: asyncpg.Connection, reference: str) -> Withdrawal | None:
    record = await connection.fetchrow(_WITHDRAWAL, reference)
    return None if record is None else msgspec.convert(("Withdrawal", *record), Withdrawal)


async def select_acts(connection: asyncpg.Connection, before: int | None, limit: int) -> list[Act]:
    """The newest first, those of smaller numbers than `before`."""
    records = await connection.fetch(_ACTS, LATEST if before is None else before, limit)
    return [msgspec.convert(("Act", *record), Act) for record in records]


async def select_ledger(
    connection: asyncpg.Connection,
    account: int,
    asset: str | None,
    before: tuple[int, str] | None,
    limit: int,
) -> list[LedgerRow]:
    """The newest first, those behind `before`."""
    time, place = before or (LATEST, "")
    records = await connection.fetch(_LEDGER, account, asset, time, place, limit)
    return [LedgerRow(*record) for record in records]


def _names(kind: type[msgspec.Struct]) -> str:
    return ", ".join(f'"{name}"' for name in column_names(kind))


_WITHDRAWALS = f"""
    SELECT {_names(Withdrawal)} FROM {TABLES[Withdrawal]}
    WHERE ($1::bigint[] IS NULL OR account_id = ANY($1))
      AND ($2::text[] IS NULL OR status = ANY($2)) AND created < $3
    ORDER BY created DESC, number DESC LIMIT $4
"""  # noqa: S608, our own names
_WITHDRAWAL = f"""
    SELECT {_names(Withdrawal)} FROM {TABLES[Withdrawal]} WHERE reference = $1
"""  # noqa: S608, our own names
_ACTS = f"""
    SELECT {_names(Act)} FROM {TABLES[Act]} WHERE number < $1 ORDER BY number DESC LIMIT $2
"""  # noqa: S608, our own names

# Trades have no index by time. Their ids follow it within a market, so that of each market the
# newest few are enough. A side of a trade is up to three changes: bought, paid, and the fee.
_LEDGER = """
    WITH moved AS (
        SELECT time, 'm' || lpad(number::text, 20, '0') AS place, kind, asset,
            CASE kind WHEN 'DEPOSIT' THEN amount ELSE -amount END AS amount,
            reference, NULL::bigint AS trade_id, NULL AS symbol
        FROM transfers WHERE account_id = $1 AND time <= $3
        UNION ALL
        SELECT time, 'n' || lpad(number::text, 20, '0'), kind, asset, amount, reference, NULL, NULL
        FROM transfers WHERE counterparty = $1 AND time <= $3
    ),
    sides AS (
        SELECT symbol, base, quote, side.* FROM markets CROSS JOIN LATERAL (
            (SELECT time, trade_id, 'b' AS side, quantity, quote_quantity, buy_fee AS fee,
                coalesce(nullif(buy_fee_asset, ''), base) AS fee_asset
            FROM trades WHERE buy_account = $1 AND trades.symbol = markets.symbol AND time <= $3
            ORDER BY trade_id DESC LIMIT $5)
            UNION ALL
            (SELECT time, trade_id, 's', -quantity, -quote_quantity, sell_fee,
                coalesce(nullif(sell_fee_asset, ''), quote)
            FROM trades WHERE sell_account = $1 AND trades.symbol = markets.symbol AND time <= $3
            ORDER BY trade_id DESC LIMIT $5)
        ) AS side
    ),
    traded AS (
        SELECT time, symbol || lpad(trade_id::text, 20, '0') || side || part AS place, kind, asset,
            change AS amount, NULL AS reference, trade_id, symbol
        FROM sides CROSS JOIN LATERAL (
            VALUES ('1', 'TRADE', base, quantity), ('2', 'TRADE', quote, -quote_quantity),
                ('3', 'FEE', fee_asset, -fee)
        ) AS changes(part, kind, asset, change)
        WHERE change <> 0
    )
    SELECT * FROM (SELECT * FROM moved UNION ALL SELECT * FROM traded) AS found
    WHERE ($2::text IS NULL OR asset = $2) AND ($4 = '' OR (time, place) < ($3, $4))
    ORDER BY time DESC, place DESC LIMIT $5
"""
