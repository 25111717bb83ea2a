"""Stores that do not fit together: healed by a start, or refused with what an operator can do."""

import asyncio
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from engine.running_engine import (
    all_outcomes,
    claim_for_nobody,
    market_and_money,
    order,
    outcome_of,
    running,
    write_everything,
)
from frames import command, now_us, payload
from servers import KillableServer, ask_redis, execute_sql, with_database

from exchange.db_processor import service as db_processor
from exchange.engine import service
from exchange.engine.recovery import begin_without_journal, diagnose
from exchange.postgres_db import epochs
from exchange.redis.connection import ConnectionLost
from exchange.redis.journal import Journal, JournalGap, JournalLost
from exchange.redis.leadership import Leadership
from exchange.redis.outcomes import Outcomes
from exchange.services import embedded
from exchange.services.commands import CreateAccount
from exchange.services.failures import OperatorNeeded, WorldFailed
from exchange.services.messages import JUMP, LEAP, Created, Opened, Placed
from exchange.services.process import Health
from exchange.services.settings import Settings

_copy_numbers = itertools.count(1)


@pytest.fixture
def copied_database(postgres_url: str, settings: Settings) -> Iterator[Callable[[], Settings]]:
    """Copies the database as it is, as a backup would; returns the settings that name the copy."""
    names: list[str] = []

    def copy() -> Settings:
        names.append(f"copy_{os.getpid()}_{next(_copy_numbers)}")
        template = settings.database_url.rpartition("/")[2]
        execute_sql(postgres_url, f"CREATE DATABASE {names[-1]} TEMPLATE {template}")
        return msgspec.structs.replace(
            settings, database_url=with_database(postgres_url, names[-1])
        )

    yield copy
    for name in names:
        execute_sql(postgres_url, f"DROP DATABASE {name}")


async def start(settings: Settings) -> None:
    """One life of an engine that must not come to lead."""
    async with asyncio.timeout(60):
        await service.run(settings, Health(), asyncio.Event())


# --- What heals by itself --------------------------------------------------------------------


async def test_a_database_that_was_set_back_follows_what_the_stream_still_holds(
    settings: Settings, copied_database: Callable[[], Settings]
) -> None:
    async with running(settings):
        await outcome_of(settings, command(1))
    await write_everything(settings)
    old = copied_database()
    for uid in range(2, 6):
        # Each time with another epoch, which the old database knows nothing of.
        async with running(settings):
            await outcome_of(settings, command(uid))
    await write_everything(settings)

    async with running(old):
        again = await outcome_of(old, command(2))
    await write_everything(old)

    assert not isinstance(again.result, Created), "it was created before, and is not any more"
    numbers = [one.number for one in await all_outcomes(old)]
    # It knows of no clean stop after its own, so that a generation begins.
    assert numbers[:-2] == list(range(1, len(numbers) - 1))
    assert numbers[-2] == numbers[-3] + JUMP
    assert (await epochs.last_end(old.database_url)).position == numbers[-1]


async def test_a_database_ahead_of_redis_is_what_counts(
    database_url: str, own_redis: KillableServer, tmp_path: Path
) -> None:
    settings = Settings(database_url=database_url, redis_url=own_redis.url)
    async with running(settings):
        for asked in market_and_money():
            await outcome_of(settings, asked)
        copy = _copy_of(own_redis, tmp_path)
        placed = await outcome_of(settings, order(1))
        await write_everything(settings)
        _set_back(own_redis, tmp_path, copy)

        again = await outcome_of(settings, order(2))

    assert isinstance(placed.result, Placed)
    assert isinstance(again.result, Placed)
    assert again.result.order_id == placed.result.order_id + JUMP + 1
    assert again.number > placed.number + JUMP


async def test_a_clean_stop_is_no_clean_stop_once_something_followed_it(
    database_url: str, own_redis: KillableServer, tmp_path: Path
) -> None:
    settings = Settings(database_url=database_url, redis_url=own_redis.url)
    async with running(settings):
        await outcome_of(settings, command(1))
    copy = _copy_of(own_redis, tmp_path)
    async with running(settings):
        seen = await outcome_of(settings, command(2))
        # Nothing of it has come to Postgres when it is lost.
        await claim_for_nobody(settings)
        _set_back(own_redis, tmp_path, copy)

        after = await outcome_of(settings, command(3))

    assert after.number > seen.number + 1_000


def _copy_of(redis: KillableServer, folder: Path) -> Path:
    redis.stop()
    copy = shutil.copytree(folder / "redis", folder / "copy")
    redis.start()
    return copy


def _set_back(redis: KillableServer, folder: Path, copy: Path) -> None:
    redis.kill()
    shutil.rmtree(folder / "redis")
    copy.rename(folder / "redis")
    redis.start()


async def test_what_postgres_took_meanwhile_of_a_lost_tail_is_loaded_first(
    settings: Settings,
) -> None:
    """A db-processor may still write what it had read from a Redis that has forgotten it."""
    async with running(settings):
        await outcome_of(settings, command(1))
    await write_everything(settings)
    leader = await Leadership.open(settings.redis_url)
    await leader.claim(await epochs.next_epoch(settings.database_url))
    with leader.beating():
        health = Health()
        standby = asyncio.create_task(service.run(settings, health, asyncio.Event()))
        async with asyncio.timeout(60):
            while not health.ready:
                await asyncio.sleep(0.02)

        execute_sql(settings.database_url, "UPDATE position SET number = number + 5")
    leader.close()

    with pytest.raises(WorldFailed, match="Postgres has gone on"):
        await asyncio.wait_for(standby, 60)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("no file system may be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_full_disk_ends_redis_and_costs_nothing_that_was_acknowledged(
    database_url: str, small_disk: Path, tmp_path: Path
) -> None:
    redis = embedded.Redis(small_disk / "redis", log=tmp_path / "redis.log")
    redis.start()
    settings = Settings(database_url=database_url, redis_url=redis.url)
    try:
        async with running(settings):
            await outcome_of(settings, command(1))
            (small_disk / "filler").write_bytes(bytes(3 * 1024 * 1024))
            journalled = await _journal_until_refused(settings)
            assert redis.process is not None
            async with asyncio.timeout(60):
                while redis.process.poll() is None:
                    await asyncio.sleep(0.05)
            (small_disk / "filler").unlink()
            redis.start()

            await outcome_of(settings, command(2))

        executed = {outcome.number for outcome in await all_outcomes(settings)}
        assert len(journalled) > 10
        assert set(journalled) <= executed
    finally:
        redis.kill()


async def _journal_until_refused(settings: Settings) -> list[int]:
    """Numbers that the journal has acknowledged, until there is no room for another."""
    numbers = []
    journal = await Journal.open(settings.redis_url, name="test")
    with suppress(ConnectionLost):
        while True:
            name = CreateAccount(name="x" * 20_000)
            numbers.append(await journal.append(payload(name), 1, clock=now_us()))
    journal.close()
    return numbers


# --- What needs an operator ------------------------------------------------------------------


async def test_an_old_database_behind_what_the_stream_holds_says_so(
    settings: Settings, copied_database: Callable[[], Settings]
) -> None:
    old = copied_database()
    async with running(settings):
        for uid in range(1, 4):
            await outcome_of(settings, command(uid))
    await write_everything(settings)
    assert ask_redis(settings.redis_url, "XTRIM j:out MINID = 0-3") == ":2"
    # The copy has the same uuid, and no clean stop of its own.
    with pytest.raises(JournalGap, match=r"JOURNAL GAP.*restore a later backup"):
        await start(old)
    with pytest.raises(JournalGap):
        async with asyncio.timeout(60):
            await db_processor.run(old, Health(), asyncio.Event())


async def test_a_hole_in_the_commands_is_said_and_not_skipped(settings: Settings) -> None:
    async with running(settings):
        last = await outcome_of(settings, command(1))
        await claim_for_nobody(settings)
        journal = await Journal.open(settings.redis_url, name="test")
        for uid in (2, 3):
            await journal.append(payload(command(uid)), 1, clock=now_us())
        journal.close()
        assert ask_redis(settings.redis_url, f"XDEL j:cmd 0-{last.number + 1}") == ":1"
        with pytest.raises(JournalGap, match="jumps"):
            await start(settings)
        ask_redis(settings.redis_url, "FLUSHALL")


async def test_a_new_exchange_whose_journal_vanished_is_not_new(settings: Settings) -> None:
    async with running(settings):
        await outcome_of(settings, command(1))
    assert ask_redis(settings.redis_url, "FLUSHALL") == "+OK"

    # Postgres holds nothing of it: there was no db-processor.
    with pytest.raises(JournalLost, match="exchange recover --journal-lost"):
        await start(settings)


async def test_an_empty_redis_is_refused_by_all_who_write(settings: Settings) -> None:
    async with running(settings):
        await outcome_of(settings, command(1))
    await write_everything(settings)
    assert ask_redis(settings.redis_url, "FLUSHALL") == "+OK"

    with pytest.raises(JournalLost):
        await start(settings)
    with pytest.raises(JournalLost):
        await db_processor.run(settings, Health(), asyncio.Event())


# --- exchange recover ------------------------------------------------------------------------


async def lose_the_journal(settings: Settings) -> int:
    """An exchange with an order, all in Postgres, and an empty Redis; the last number."""
    async with running(settings):
        for asked in market_and_money():
            await outcome_of(settings, asked)
        await outcome_of(settings, order(1))
    await write_everything(settings)
    position = (await epochs.last_end(settings.database_url)).position
    assert ask_redis(settings.redis_url, "FLUSHALL") == "+OK"
    return position


async def test_without_its_journal_the_exchange_goes_on_behind_all_that_was_seen(
    settings: Settings,
) -> None:
    position = await lose_the_journal(settings)

    recovered = await begin_without_journal(settings)
    async with running(settings):
        outcome = await outcome_of(settings, order(2))
    await write_everything(settings)

    assert recovered.position == position
    assert recovered.base == position + LEAP
    first, *_ = await all_outcomes(settings, position)
    assert isinstance(first.result, Opened)
    assert first.number == recovered.base
    # The gate was closed cleanly behind it: no second jump.
    assert outcome.number == recovered.base + 2
    assert isinstance(outcome.result, Placed)
    assert outcome.result.order_id == 2 + LEAP
    assert (await epochs.last_end(settings.database_url)).position >= outcome.number


async def test_the_old_journal_is_refused_when_it_comes_back(settings: Settings) -> None:
    await lose_the_journal(settings)
    old_uuid = await epochs.cluster_uuid(settings.database_url)

    await begin_without_journal(settings)

    async with await Outcomes.open(settings.redis_url) as outcomes:
        assert await outcomes.mark() == await epochs.cluster_uuid(settings.database_url)
    assert await epochs.cluster_uuid(settings.database_url) != old_uuid
    ask_redis(settings.redis_url, f"SET j:cluster {old_uuid}")
    with pytest.raises(OperatorNeeded, match="another exchange"):
        await start(settings)


async def test_only_a_lost_journal_can_be_given_up(settings: Settings) -> None:
    with pytest.raises(OperatorNeeded, match="nothing was changed"):
        await begin_without_journal(settings)
    async with running(settings):
        await outcome_of(settings, command(1))
    uuid = await epochs.cluster_uuid(settings.database_url)

    with pytest.raises(OperatorNeeded, match="nothing was changed"):
        await begin_without_journal(settings)

    assert await epochs.cluster_uuid(settings.database_url) == uuid


async def test_a_recovery_that_was_cut_off_can_be_repeated(settings: Settings) -> None:
    position = await lose_the_journal(settings)
    # It had renewed the uuid when it was killed; services have marked the journal meanwhile.
    ask_redis(
        settings.redis_url, f"SET j:cluster {await epochs.cluster_uuid(settings.database_url)}"
    )
    await epochs.renew_cluster(settings.database_url)

    assert (await begin_without_journal(settings)).position == position


async def test_every_state_is_named(settings: Settings) -> None:
    states = [(await diagnose(settings)).state]
    async with running(settings):
        await outcome_of(settings, command(1))
    await write_everything(settings)
    states.append((await diagnose(settings)).state)
    execute_sql(settings.database_url, "UPDATE position SET number = 100")
    states.append((await diagnose(settings)).state)
    execute_sql(settings.database_url, "UPDATE cluster SET uuid = 'another'")
    states.append((await diagnose(settings)).state)
    assert ask_redis(settings.redis_url, "FLUSHALL") == "+OK"
    states.append((await diagnose(settings)).state)

    assert states == ["new", "whole", "tail lost", "foreign", "journal lost"]


def recover(settings: Settings, *flags: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
    }
    return subprocess.run(
        [sys.executable, "-m", "exchange.engine", "recover", *flags],
        env=environment,
        input=typed,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


async def test_the_command_says_what_is_lost_and_asks(settings: Settings) -> None:
    position = await lose_the_journal(settings)

    looked = recover(settings)
    asked = recover(settings, "--journal-lost", typed="n\n")
    unasked = recover(settings, "--journal-lost")

    assert (looked.returncode, asked.returncode, unasked.returncode) == (1, 1, 1)
    assert f"everything up to number {position}, written at 20" in looked.stdout
    assert "Orders that were open then are open again" in " ".join(asked.stderr.split())
    assert (await diagnose(settings)).state == "journal lost"

    done: Any = recover(settings, "--journal-lost", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert msgspec.json.decode(done.stdout) == {"position": position, "base": position + LEAP}
    again = recover(settings, "--journal-lost", "--yes")
    assert again.returncode == 1
    assert "Both stores are there" in again.stdout
