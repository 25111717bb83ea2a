"""`exchange chaos`: trade, kill, stop, resume at random; then prove what was acknowledged."""

import asyncio
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from exchange.lab.chaos import answers, wishes
from exchange.lab.chaos.client import AdminApi, Malformed, NoAnswer, NotSent, PublicApi
from exchange.lab.chaos.findings import Findings, Promise
from exchange.lab.chaos.listener import Listener
from exchange.lab.chaos.memory import AccountMemory, Told
from exchange.lab.chaos.plan import KILLS_MAX, Fault, faults
from exchange.lab.chaos.proof import Proof
from exchange.lab.chaos.recovery import Pulse, Recovery, summarised
from exchange.lab.chaos.report import Report, promise_rows
from exchange.lab.chaos.saboteur import NotRestarted, Saboteur
from exchange.lab.chaos.subject import Subject, SubjectFault
from exchange.lab.chaos.trader import Shared, Tally, Trader
from exchange.lab.chaos.user_listener import UserListener
from exchange.lab.chaos.user_record import UserRecord

REQUESTS_PER_S = 240
"""Of all traders together: what a run remembers stays bounded, and the machine is left to others."""
HEAL_S_MAX = 60.0
READ_PAUSE_S = 0.05
SETTLE_PAUSE_S = 0.1


class Options(Struct, frozen=True):
    """How much chaos; all of it is bounded by the command line."""

    kills: int
    minutes: float
    accounts: int
    seed: int
    data: Path | None


Say = Callable[[str], None]


class Chaos:
    """One run."""

    def __init__(self, options: Options, subject: Subject, say: Say) -> None:
        """Raises SubjectFault where nothing runs."""
        self._options, self._subject, self._say = options, subject, say
        self._run = subject.run
        self._findings = Findings()
        self._saboteur = Saboteur(subject.folder)
        self._orders, self._reads, self._streams = Pulse(), Pulse(), Pulse()
        self._tally = Tally()
        self._recoveries: list[Recovery] = []
        self._keys: list[tuple[str, str]] = []
        self._traders: list[Trader] = []
        self._told: list[UserRecord] = []
        self._began = 0.0

    async def run(self) -> Report:
        """Raises SubjectFault where no account can be made."""
        began_us = time.time_ns() // 1_000
        _take_every_signal_for_ctrl_c()
        await self._open_accounts()
        listener = self._listener()
        stop = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                others = [
                    group.create_task(listener.listen()),
                    *(group.create_task(one.listen()) for one in self._user_listeners()),
                    group.create_task(self._read()),
                    group.create_task(self._report_progress()),
                ]
                trading = [group.create_task(one.trade(stop)) for one in self._traders]
                await self._do_faults()
                seconds = time.monotonic() - self._began
                stop.set()
                await asyncio.gather(*trading)
                self._say("settling, and proving …")
                await self._settle()
                await listener.settle()
                for task in others:
                    task.cancel()
        finally:
            self._saboteur.resume_all()
            for trader in self._traders:
                trader.close()
        proof = Proof(self._run, self._findings, began_us, is_own=self._subject.is_own)
        memories = [one.memory for one in self._traders]
        await proof.prove(memories, self._keys, self._told, listener.tapes)
        listener.compared["user streams and REST"] = sum(one.compared for one in self._told)
        self._subject.is_kept = bool(self._findings.violated)
        return self._report(listener, seconds)

    # --- Before ---

    async def _open_accounts(self) -> None:
        run = self._run
        admin = AdminApi(run.admin, run.admin_token)
        shared = Shared(
            self._findings, self._tally, self._orders,
            pause_s=self._options.accounts / REQUESTS_PER_S,
        )  # fmt: skip
        prefix = f"chaos-{secrets.token_hex(3)}"
        for number in range(self._options.accounts):
            name = f"{prefix}-{number}"
            account = await _created(admin, "accounts", {"name": name})
            keys = await _created(
                admin, f"accounts/{name}/keys", {"kind": "hmac", "canTrade": True}
            )
            key = (keys["apiKey"], keys["secretKey"])
            self._keys.append(key)
            self._traders.append(
                Trader(
                    PublicApi(run.api, *key),
                    AdminApi(run.admin, run.admin_token),
                    AccountMemory(name, account["accountId"]),
                    shared,
                    seed=f"{self._options.seed}/{number}",
                )
            )
        admin.close()

    def _listener(self) -> Listener:
        symbols = [ground.symbol for ground in wishes.GROUNDS]
        public = PublicApi(self._run.api, *self._keys[0])
        return Listener(self._run.ws, public, symbols, self._findings, self._streams)

    def _user_listeners(self) -> Iterator[UserListener]:
        """One for each account, by turns at the backend and at the websocket server."""
        for number, (key, trader) in enumerate(zip(self._keys, self._traders, strict=True)):
            record = UserRecord(trader.memory.name, self._findings)
            self._told.append(record)
            streams = self._run.ws if number % 2 else None
            yield UserListener(PublicApi(self._run.api, *key), record, self._run.api, streams)

    # --- Meanwhile ---

    async def _do_faults(self) -> None:
        first = await self._healed(Pulse.now())
        self._began = time.monotonic()
        if not self._findings.check(Promise.HEALED, None not in first, "it does not trade", first):
            return
        deadline = self._began + self._options.minutes * 60
        for fault in faults(self._options.seed, self._saboteur.parts()):
            left = self._options.kills - self._saboteur.kills
            if left <= 0 or time.monotonic() > deadline:
                return
            if KILLS_MAX.get(fault.kind, 0) <= left and not await self._do(fault):
                return

    async def _do(self, fault: Fault) -> bool:
        """One fault, from its beginning to when it has healed; says whether it has."""
        try:
            moment = await self._saboteur.carry_out(fault)
        except NotRestarted as failure:
            return self._findings.check(Promise.HEALED, False, failure)
        orders, reads, streams = await self._healed(moment)
        self._recoveries.append(Recovery(fault.name, orders, reads, streams))
        is_healed = None not in (orders, reads, streams)
        self._findings.check(
            Promise.HEALED, is_healed,
            f"not within {HEAL_S_MAX:.0f} s after", fault, (orders, reads, streams),
        )  # fmt: skip
        await asyncio.sleep(fault.pause)
        return is_healed

    async def _healed(self, moment: float) -> tuple[float | None, float | None, float | None]:
        """How many seconds after a moment everything was done again; None: not within a minute."""

        async def first(pulse: Pulse, since: float) -> float | None:
            try:
                async with asyncio.timeout(HEAL_S_MAX):
                    return await pulse.after(since)
            except TimeoutError:
                return None

        async def first_heard() -> tuple[float | None, float | None]:
            """What was heard before an order was acknowledged may be what was left to say."""
            acknowledged = await first(self._orders, moment)
            heard = await first(self._streams, acknowledged) if acknowledged else None
            return acknowledged, heard

        (orders, streams), reads = await asyncio.gather(first_heard(), first(self._reads, moment))

        def seconds(at: float | None) -> float | None:
            return None if at is None else at - moment

        return seconds(orders), seconds(reads), seconds(streams)

    async def _read(self) -> None:
        """Ask for an account again and again: whether reads are answered is part of recovery."""
        public = PublicApi(self._run.api, *self._keys[0])
        while True:
            began = Pulse.now()
            judge = answers.public(answers.READ_REFUSALS)
            verdict = await answers.verdict_on(public.read("account"), judge, self._findings)
            if verdict.told is Told.DONE:
                self._reads.note(began)
            await asyncio.sleep(READ_PAUSE_S)

    async def _report_progress(self) -> None:
        pause = 10.0 if self._options.minutes > 2 else 5.0
        while True:
            await asyncio.sleep(pause)
            orders = self._tally
            seconds = time.monotonic() - self._began if self._began else 0.0
            self._say(
                f"{seconds:5.0f} s: {self._saboteur.kills:,} of {self._options.kills:,} kills,"
                f" {self._saboteur.stops:,} stops; orders {orders.done:,} acknowledged,"
                f" {orders.refused:,} refused, {orders.unknown:,} unknown;"
                f" violations {self._findings.violated:,}"
            )

    # --- Afterwards ---

    async def _settle(self) -> None:
        """Until the exchange says that it trades, and that nothing is on its way to Postgres."""
        if not self._subject.is_own:
            # Others may trade on it: ours must be at rest while they are looked at.
            await asyncio.gather(*(trader.withdraw_orders() for trader in self._traders))
        admin = AdminApi(self._run.admin, self._run.admin_token)
        quiet = 0
        for _ in range(int(HEAL_S_MAX / SETTLE_PAUSE_S)):
            asked = await answers.verdict_on(admin.get("status"), answers.admin, self._findings)
            is_quiet = (
                asked.told is Told.DONE
                and asked.body["ready"]
                and not any(asked.body["lag"].values())
            )
            quiet = quiet + 1 if is_quiet else 0
            if quiet == 2:
                break
            await asyncio.sleep(SETTLE_PAUSE_S)
        admin.close()
        self._findings.check(Promise.HEALED, quiet == 2, "it does not come to rest")

    def _report(self, listener: Listener, seconds: float) -> Report:
        violations = self._findings.violated
        return Report(
            seed=self._options.seed,
            seconds=round(seconds, 1),
            kills=self._saboteur.kills,
            stops=self._saboteur.stops,
            accounts=len(self._traders),
            orders=self._tally,
            trades_streamed=sum(len(tape.seen) for tape in listener.tapes.values()),
            compared=listener.compared,
            promises=promise_rows(self._findings),
            recovery=summarised(self._recoveries),
            violations=violations,
            folder=str(self._subject.folder) if violations and self._subject.is_own else "",
        )


async def _created(admin: AdminApi, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What the operator's API has made. Raises SubjectFault."""
    try:
        answer = await admin.post(path, body)
    except (NotSent, NoAnswer, Malformed) as fault:
        raise SubjectFault(f"The admin API does not answer: {fault}") from None
    if answer.status != 200:
        raise SubjectFault(f"The admin API refused {path}: {answer.body}")
    created: dict[str, Any] = answer.body
    return created


def _take_every_signal_for_ctrl_c() -> None:
    """Whoever wants it to end wants what Ctrl-C does."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, signal.raise_signal, signal.SIGINT)
