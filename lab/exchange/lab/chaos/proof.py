"""The proof: all evidence, read piece by piece, and held against what the traders were told."""

from collections.abc import Mapping, Sequence

from exchange.lab.chaos import market_proof, wishes
from exchange.lab.chaos.account_proof import prove_account
from exchange.lab.chaos.client import PublicApi
from exchange.lab.chaos.evidence import (
    EvidenceFault,
    Rows,
    account_by_api,
    depth_by_api,
    klines_by_api,
    snapshot,
)
from exchange.lab.chaos.findings import Findings, Promise
from exchange.lab.chaos.listener import Tape
from exchange.lab.chaos.market_proof import DAY_US, MarketProof
from exchange.lab.chaos.memory import AccountMemory
from exchange.lab.chaos.user_record import UserRecord
from exchange.services.run_file import Run

SYMBOLS = [ground.symbol for ground in wishes.GROUNDS]


class Proof:
    """Of one run on one exchange, which must be at rest."""

    def __init__(self, run: Run, findings: Findings, began_us: int, *, is_own: bool) -> None:
        """On an exchange of its own nobody else does anything."""
        self._run, self._findings, self._is_own = run, findings, is_own
        # A day's candle needs all trades of its day.
        self._since = 0 if is_own else began_us - began_us % DAY_US

    async def prove(
        self,
        memories: Sequence[AccountMemory],
        keys: Sequence[tuple[str, str]],
        told: Sequence[UserRecord],
        tapes: Mapping[str, Tape],
    ) -> None:
        """Everything; what cannot be read is a violation too. `keys` are those of the accounts, and
        `told` is what their streams have told them.
        """
        clients = [PublicApi(self._run.api, *key) for key in keys]
        try:
            async with snapshot(self._run.database_url) as rows:
                for memory, client, record in zip(memories, clients, told, strict=True):
                    await self._prove_account(memory, client, record, rows)
                for symbol in SYMBOLS:
                    await self._prove_market(symbol, tapes[symbol], clients[0], rows)
                market_proof.prove_sums(await rows.sums(), await rows.negative(), self._findings)
                if self._is_own:
                    ids = [memory.account_id for memory in memories]
                    strangers = await rows.strangers(ids)
                    market_proof.prove_no_strangers(strangers, self._findings)
        except EvidenceFault as fault:
            self._findings.check(Promise.HEALED, False, "the evidence cannot be read:", fault)
        finally:
            for client in clients:
                client.close()

    async def _prove_account(
        self, memory: AccountMemory, client: PublicApi, record: UserRecord, rows: Rows
    ) -> None:
        assets = await rows.markets()
        account = await account_by_api(client, SYMBOLS)
        record.prove(account.trades, account.holdings)
        prove_account(
            memory,
            account,
            await rows.account(memory.account_id, assets),
            await rows.transfers(memory.account_id),
            assets,
            self._findings,
        )

    async def _prove_market(self, symbol: str, tape: Tape, client: PublicApi, rows: Rows) -> None:
        before = await rows.last_trade_id(symbol, self._since)
        proof = MarketProof(symbol, tape, before, self._findings)
        async for trade in rows.trades(symbol, self._since):
            proof.take(trade)
        candles = await rows.candles(symbol, self._since)
        proof.finish(candles, await rows.generations())
        if self._is_own:
            # Elsewhere others trade on, and the two are not of one moment.
            shown = await depth_by_api(client, symbol)
            market_proof.prove_depth(symbol, shown, await rows.depth(symbol), self._findings)
            klines = await klines_by_api(client, symbol)
            market_proof.prove_klines(symbol, klines, candles, self._findings)
