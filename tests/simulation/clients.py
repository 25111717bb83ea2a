"""Those who use the exchange: traders with random wishes, and readers.

A request is served in its backend's process, by what serves those of the public API behind its
signature and its parameters. Between client and backend is a network, too: the client may give up,
and an answer may get lost with its process.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any

from crowd import Crowd
from msgspec.structs import replace
from simulation.cluster import BackendPart, Cluster
from simulation.followers import SYMBOLS, Shadow
from simulation.history import UNKNOWN, Answer, Asked, History

from exchange.backend.authentication import Signed
from exchange.backend.directory import KnownKey
from exchange.backend.endpoints import Call
from exchange.backend.errors import OUTSIDE_WINDOW, TIMEOUT, ApiError
from exchange.backend.formats import TimeUnit
from exchange.backend.parameters import Values
from exchange.backend.queries import select_position
from exchange.backend.signatures import HmacVerifier
from exchange.backend.state import Current
from exchange.backend.submission import submit
from exchange.services.clock import now_us
from exchange.services.commands import (
    AnyCommand,
    ChangeAccount,
    ChangeExchange,
    ChangeMarket,
    CreateAccount,
    Deposit,
    SetMode,
    Withdraw,
)
from exchange.services.messages import Created, Outcome
from exchange.services.rows import Key, KeyKind

_VERIFIER = HmacVerifier(b"")
"""Nobody asks it: whoever comes so far has signed well."""
FUNDS = {"SOL": 10_000 * 10**8, "USDC": 1_000_000 * 10**8}

_FROM_OPERATORS = (ChangeMarket, ChangeExchange, ChangeAccount, SetMode, CreateAccount)
_HAS_REFERENCE = (Deposit, Withdraw)


class Requests:
    """The way from clients to backends."""

    def __init__(self, cluster: Cluster, history: History, chance: Random) -> None:
        self.cluster = cluster
        self.history = history
        self.chance = chance
        self.top = 0
        """The greatest number that any client was told."""

    async def ask(
        self, part: BackendPart, command: AnyCommand, *, client: str, patience_s: float
    ) -> Answer:
        """Have a command executed, as far as this client will ever know."""
        loop = self.cluster.loop
        command = replace(command, uid=self.chance.getrandbits(62) + 1)
        asked = Asked(client=client, backend=part.name, command=command, began=loop.time())
        self.history.asked.append(asked)
        # Its process may start again while this is under way: the request belongs to this life.
        current = part.current
        answer = await self._serve(part, lambda: _submit(current, command), patience_s)
        asked.answer = answer if isinstance(answer, Answer) else UNKNOWN
        asked.ended = loop.time()
        if asked.answer.outcome is not None:
            self.top = max(self.top, asked.answer.outcome.number)
        return asked.answer

    async def read(self, part: BackendPart, *, client: str, account_data: bool) -> None:
        """Read, and check that what was read is not older than what anybody was told before."""
        floor = self.top
        current = part.current
        position = await self._serve(
            part, lambda: _read(current, account_data=account_data), patience_s=5
        )
        if isinstance(position, int) and position < floor and floor not in self.history.vanished:
            kind = "account data" if account_data else "market data"
            self.history.faults.append(
                f"P7: {client} was told of outcome {floor} and then read {kind} of {position}"
                f" from {part.name}"
            )

    async def _serve(
        self, part: BackendPart, work: Callable[[], Coroutine[Any, Any, Any]], patience_s: float
    ) -> Any:
        """Run something in a backend's process and wait for what it says; None if that never comes."""
        loop, network, process = self.cluster.loop, self.cluster.network, part.process
        if process is None:
            await asyncio.sleep(0.01)
            return Answer(refused="connection refused")
        told: asyncio.Future[Any] = loop.create_future()
        tasks: list[asyncio.Task[Any]] = []

        def tell(answer: Any) -> None:
            if not told.done():
                told.set_result(answer)

        def arrive() -> None:
            tasks.append(loop.create_task(work()))
            tasks[0].add_done_callback(answered)

        def answered(task: asyncio.Task[Any]) -> None:
            if task.cancelled():
                return
            if (fault := task.exception()) is not None:
                self.history.faults.append(f"{part.name} failed to answer: {fault!r}")
                return
            result = task.result()
            loop.happen(network.latency(), lambda: tell(result))

        def died() -> None:
            loop.happen(network.latency(), lambda: tell(None))

        process.on_death[died] = None
        loop.happen(network.latency(), lambda: process.arrive(arrive))
        try:
            async with asyncio.timeout(patience_s):
                return await told
        except TimeoutError:
            if self.chance.random() < 0.5 and tasks:
                # The client hangs up: what serves it is cancelled.
                process.arrive(tasks[0].cancel)
            return None
        finally:
            process.on_death.pop(died, None)


async def _submit(current: Current, command: AnyCommand) -> Answer:
    """As a request is served whose signature is right."""
    now = now_us()
    if command.deadline and command.deadline < now:
        return Answer(refused=str(OUTSIDE_WINDOW))
    row = Key(
        account=getattr(command, "account", 0),
        api_key="",
        kind=KeyKind.HMAC,
        secret=b"",
        created=0,
        can_trade=True,
    )
    signed = Signed(KnownKey(row, _VERIFIER), command.request, command.deadline, b"")
    call = Call(
        current=current, values=Values({}), now=now, unit=TimeUnit.MICROSECOND, signed=signed
    )
    try:
        return Answer(outcome=await submit(call, command))
    except ApiError as error:
        return UNKNOWN if error.code == TIMEOUT.code else Answer(refused=str(error))


async def _read(current: Current, *, account_data: bool) -> int | None:
    try:
        state = current.state
        if account_data:
            async with state.barrier.snapshot() as connection:
                return await select_position(connection)
        await state.barrier.market_data()
        return state.views.position
    except ApiError:
        return None


class Trader:
    """Asks for something, waits, sometimes asks again, and goes on."""

    def __init__(
        self, name: str, requests: Requests, wishes: "Wishes", chance: Random, pause_s: float
    ) -> None:
        self.name = name
        self._requests = requests
        self._wishes = wishes
        self._chance = chance
        self._pause_s = pause_s

    async def trade(self, stop: asyncio.Event) -> None:
        chance = self._chance
        signed: list[AnyCommand] = []
        while not stop.is_set():
            await asyncio.sleep(chance.expovariate(1 / self._pause_s))
            # A network, or whoever listens to it, may bring any of them again.
            if signed and chance.random() < 0.1:
                command = chance.choice(signed)
            else:
                command = self._wishes.next(chance)
            if command.request is not None:
                signed.append(command)
            answer = await self._ask(command)
            # The same signed request may be sent again; an unsigned one only with its reference.
            # Some libraries do so even though they have the answer.
            while (
                (command.request is not None or isinstance(command, _HAS_REFERENCE))
                and chance.random() < (0.7 if answer.outcome is None else 0.15)
                and not stop.is_set()
            ):
                await asyncio.sleep(chance.random() * 0.3)
                answer = await self._ask(command)

    async def _ask(self, command: AnyCommand) -> Answer:
        backends = self._requests.cluster.backends
        patience = 0.02 if self._chance.random() < 0.05 else 12.0
        return await self._requests.ask(
            self._chance.choice(backends), command, client=self.name, patience_s=patience
        )


class Wishes:
    """Random commands of some accounts, most of them as from signed requests."""

    def __init__(self, shadow: Callable[[], Shadow], accounts: Sequence[int]) -> None:
        self._shadow = shadow
        self._accounts = accounts
        self._crowd = Crowd(shadow().engine, accounts, SYMBOLS)

    def next(self, chance: Random) -> AnyCommand:
        self._crowd.engine = self._shadow().engine
        command = self._crowd.command(chance)
        if isinstance(command, (*_FROM_OPERATORS, *_HAS_REFERENCE)):
            return command
        window = chance.choice((1, 5, 60)) * 1_000_000
        return replace(command, request=chance.randbytes(16), deadline=now_us() + window)


class Reader:
    """Reads market and account data, now and then."""

    def __init__(self, name: str, requests: Requests, chance: Random, pause_s: float) -> None:
        self.name = name
        self._requests = requests
        self._chance = chance
        self._pause_s = pause_s

    async def read(self, stop: asyncio.Event) -> None:
        chance = self._chance
        while not stop.is_set():
            await asyncio.sleep(chance.expovariate(1 / self._pause_s))
            await self._requests.read(
                chance.choice(self._requests.cluster.backends),
                client=self.name,
                account_data=chance.random() < 0.5,
            )


async def open_accounts(requests: Requests, names: Sequence[str]) -> list[int]:
    """Accounts with money, before anything goes wrong."""

    async def open_account(name: str) -> int:
        outcome = await insist(requests, CreateAccount(name=name), client="operator")
        assert isinstance(outcome.result, Created), outcome
        account = outcome.result.id
        deposits = (
            Deposit(account=account, asset=asset, amount=amount, reference=f"{name}-{asset}")
            for asset, amount in FUNDS.items()
        )
        await asyncio.gather(*(insist(requests, one, client="operator") for one in deposits))
        return account

    return await asyncio.gather(*map(open_account, names))


async def insist(
    requests: Requests, command: AnyCommand, *, client: str, part: BackendPart | None = None
) -> Outcome:
    """Ask until there is an outcome."""
    while True:
        backend = part or requests.chance.choice(requests.cluster.backends)
        answer = await requests.ask(backend, command, client=client, patience_s=1.0)
        if answer.outcome is not None:
            return answer.outcome
        await asyncio.sleep(0.1)
