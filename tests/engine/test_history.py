"""The past of a new exchange, on a real Redis and Postgres: it is like any other past."""

from engine.running_engine import outcome_of, running, write_everything

from exchange.engine import history
from exchange.engine.verification import Watch, verify
from exchange.postgres_db.connection import connected
from exchange.redis.outcomes import Outcomes
from exchange.services.candles import HOUR, MINUTE, Interval
from exchange.services.clock import now_us
from exchange.services.commands import CreateAccount
from exchange.services.settings import Settings

HOURS = 3


async def test_a_new_exchange_gets_a_past_and_goes_on_from_it(settings: Settings) -> None:
    began = now_us()

    made = await history.make(settings, hours=HOURS, seed=1)
    await write_everything(settings)

    assert made is not None
    async with connected(settings.database_dsn(), application_name="test") as connection:
        told = await connection.fetch(
            "SELECT symbol, count(*), min(open_time), max(open_time), sum(trades) FROM candles"
            " WHERE interval = $1 GROUP BY symbol ORDER BY symbol",
            Interval.MINUTE_1,
        )
        opened = await connection.fetchval("SELECT count(*) FROM orders WHERE status = 'NEW'")
    this_minute = began - began % MINUTE
    assert [symbol for symbol, *_ in told] == ["BTCUSDT", "ETHUSDT", "SOLUSDC"]
    for _, minutes, first, last, _ in told:
        assert first == this_minute - HOURS * HOUR
        assert minutes == (last - first) // MINUTE + 1
        assert this_minute - MINUTE <= last <= now_us()
    assert sum(trades for *_, trades in told) == made.trades
    assert opened == 0

    # Numbers go on without a gap, at the time that it is now.
    async with running(settings):
        outcome = await outcome_of(settings, CreateAccount(name="somebody"))
    assert outcome.number == 1 + made.commands + 2
    assert outcome.time >= began
    await write_everything(settings)
    report = await verify(settings, Watch(lambda _: None, lambda *_: None))
    assert [check for check in report.checks if not check.is_ok] == []
    assert {check.name: check.checked for check in report.checks}["execution"] == outcome.number


async def test_an_exchange_that_is_not_new_keeps_its_own(settings: Settings) -> None:
    async with running(settings):
        await outcome_of(settings, CreateAccount(name="somebody"))
    async with await Outcomes.open(settings.redis_url) as outcomes:
        tops = await outcomes.tops()

        assert await history.make(settings, hours=HOURS, seed=1) is None

        assert await outcomes.tops() == tops
