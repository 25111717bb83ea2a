"""A trader who places, cancels, pays in and out at random, and remembers what it was told."""

import asyncio
import random
from typing import Any

from msgspec import Struct

from exchange.lab.chaos import answers, wishes
from exchange.lab.chaos.answers import Verdict, verdict_on
from exchange.lab.chaos.client import ANSWER_S_MAX, AdminApi, PublicApi
from exchange.lab.chaos.findings import Findings, Promise
from exchange.lab.chaos.found import DECIMALS, FoundOrder, Unreadable, order_from
from exchange.lab.chaos.memory import AccountMemory, OrderMemory, Told, TransferMemory
from exchange.lab.chaos.recovery import Pulse

WINDOWS_MS = (5_000, 60_000)
REFUSED_PAUSE_S = (0.05, 0.25)
"""How long it waits where nobody is there, as decent clients do: those who recover need the machine."""
IMPATIENCE, PATIENCE_S = 0.02, (0.0005, 0.02)
"""How often it hangs up on an order that it has sent, and after how long."""
REST_ATTEMPTS = 10
OPEN_MAX = 60
"""With more that may be open, all of a market are cancelled."""

# What it does next, and how often.
_HABITS = {"place": 660, "cancel": 230, "cancel all": 10, "pay in": 15, "pay out": 10, "look": 75}

_DEFINITE = (answers.ORDER_REJECTED, answers.FILTERED)
"""The engine's own refusals: given to a repeat, they say that the first was not executed either."""


class Tally(Struct):
    """The answers to the orders of all traders."""

    done: int = 0
    refused: int = 0
    unknown: int = 0

    def count(self, told: Told) -> None:
        match told:
            case Told.DONE:
                self.done += 1
            case Told.REFUSED:
                self.refused += 1
            case Told.UNKNOWN:
                self.unknown += 1


class Shared(Struct, frozen=True):
    """What all traders of a run have in common; `pause_s` is the mean one between two requests."""

    findings: Findings
    tally: Tally
    pulse: Pulse
    pause_s: float


class Trader:
    """One account with one request under way at a time."""

    def __init__(
        self, public: PublicApi, admin: AdminApi, memory: AccountMemory, shared: Shared, seed: str
    ) -> None:
        self.memory = memory
        self._public, self._admin, self._shared = public, admin, shared
        self._check = shared.findings.check
        self._chance = random.Random(seed)
        self._maybe_open: dict[int, None] = {}

    async def trade(self, stop: asyncio.Event) -> None:
        """One request after the other until `stop`."""
        for asset, whole in wishes.FUNDS.items():
            await self._transfer("DEPOSIT", asset, whole * 10**DECIMALS, stop)
        while not stop.is_set():
            await self._act(stop)
            await asyncio.sleep(self._chance.expovariate(1 / self._shared.pause_s))

    async def withdraw_orders(self) -> None:
        """Cancel all that is open; gives up on a market where that is not answered."""
        for ground in wishes.GROUNDS:
            for _ in range(REST_ATTEMPTS):
                if await self._cancel_all(ground.symbol):
                    break

    def close(self) -> None:
        self._public.close()
        self._admin.close()

    async def _act(self, stop: asyncio.Event) -> None:
        (habit,) = self._chance.choices(list(_HABITS), list(_HABITS.values()))
        if habit in ("pay in", "pay out"):
            kind = "DEPOSIT" if habit == "pay in" else "WITHDRAWAL"
            await self._transfer(kind, *wishes.draw_amount(self._chance, kind), stop)
        elif habit == "cancel all" or len(self._maybe_open) > OPEN_MAX:
            await self._cancel_all(self._chance.choice(wishes.GROUNDS).symbol)
        elif habit == "place" or not self._maybe_open:
            await self._place()
        elif habit == "cancel":
            await self._cancel(self._chance.choice(list(self._maybe_open)))
        else:
            await self._look(self._chance.choice(list(self._maybe_open)))

    # --- Placing ---

    async def _place(self) -> None:
        order, wish = wishes.draw_order(self._chance)
        index = len(self.memory.orders)
        self.memory.orders.append(order)
        self._maybe_open[index] = None
        wish["newClientOrderId"] = self.memory.client_order_id(index)
        request = self._public.signed(self._chance.choice(WINDOWS_MS), **wish)
        began = Pulse.now()
        is_patient = self._chance.random() > IMPATIENCE
        patience = ANSWER_S_MAX if is_patient else self._chance.uniform(*PATIENCE_S)
        verdict = await self._send_order(request, patience)
        self._shared.tally.count(verdict.told)
        self._learn(index, verdict)
        if verdict.told is Told.DONE:
            self._shared.pulse.note(began)
            if self._chance.random() < 0.1:
                await self._look(index)
        elif verdict.told is Told.UNKNOWN:
            await self._resolve(index, request)
        elif verdict.code not in _DEFINITE:
            await asyncio.sleep(self._chance.uniform(*REFUSED_PAUSE_S))

    async def _send_order(self, request: str, patience: float = ANSWER_S_MAX) -> Verdict:
        calling = self._public.call("POST", "order", request, patience=patience)
        return await self._verdict(calling, answers.ORDER_REFUSALS)

    def _learn(self, index: int, verdict: Verdict) -> None:
        order = self.memory.orders[index]
        if verdict.told is Told.DONE:
            found = self._read(verdict.body, index)
            if found is not None:
                self._check(Promise.ORDERS, order.can_become(found), order, "became", found)
                order.fills = found.fills
                self._take(index, found)
        elif verdict.told is Told.REFUSED:
            order.told = Told.REFUSED
            self._maybe_open.pop(index, None)

    async def _resolve(self, index: int, request: str) -> None:
        """After no answer: send the very same once more, ask, or leave it at that."""
        await asyncio.sleep(self._chance.uniform(0.02, 0.2))
        choice = self._chance.random()
        if choice < 0.4:
            verdict = await self._send_order(request)
            if verdict.told is Told.DONE or verdict.code in _DEFINITE:
                self._learn(index, verdict)
        elif choice < 0.8:
            await self._look(index)

    # --- Cancelling ---

    async def _cancel(self, index: int) -> None:
        order = self.memory.orders[index]
        request = self._public.signed(
            self._chance.choice(WINDOWS_MS),
            symbol=order.symbol,
            origClientOrderId=self.memory.client_order_id(index),
        )
        calling = self._public.call("DELETE", "order", request)
        verdict = await self._verdict(calling, answers.CANCEL_REFUSALS)
        if verdict.told is Told.DONE:
            self._take_cancel(verdict.body, index)
        elif verdict.told is Told.UNKNOWN:
            self._doubt(order)
            await asyncio.sleep(self._chance.uniform(*REFUSED_PAUSE_S))
        elif verdict.code == answers.CANCEL_REJECTED and order.told is Told.DONE:
            self._note_end(index)

    async def _cancel_all(self, symbol: str) -> bool:
        """Says whether nothing that was acknowledged before is open any more."""
        request = self._public.signed(self._chance.choice(WINDOWS_MS), symbol=symbol)
        calling = self._public.call("DELETE", "openOrders", request)
        verdict = await self._verdict(calling, answers.CANCEL_REFUSALS)
        affected = [one for one in self._maybe_open if self.memory.orders[one].symbol == symbol]
        if verdict.told is Told.UNKNOWN:
            self.memory.unsure_cancels.add(symbol)
            for index in affected:
                self._doubt(self.memory.orders[index])
        if verdict.told is Told.DONE:
            for body in verdict.body if isinstance(verdict.body, list) else [verdict.body]:
                self._take_cancel(body)
        is_done = verdict.told is Told.DONE or verdict.code == answers.CANCEL_REJECTED
        if is_done:
            # Whoever ended them: none of these is open any more.
            for index in affected:
                if self.memory.orders[index].told is Told.DONE:
                    self.memory.orders[index].has_ended = True
                self._maybe_open.pop(index, None)
        return is_done

    def _take_cancel(self, body: Any, index: int | None = None) -> None:
        """Remember a cancelled order: the one that was meant, or any of ours in a cancel-all."""
        found = self._read(body, index)
        if found is None:
            return
        cancelled = self.memory.index(found.client_order_id)
        assert cancelled is not None, "it was read as one of ours"
        order = self.memory.orders[cancelled]
        self._check(
            Promise.CANCELS,
            found.status == "CANCELED" and order.cancel is not Told.DONE and order.can_become(found),
            order, "was cancelled as", found,
        )  # fmt: skip
        order.cancel = Told.DONE
        self._take(cancelled, found)

    @staticmethod
    def _doubt(order: OrderMemory) -> None:
        if order.cancel is None:
            order.cancel = Told.UNKNOWN

    # --- Looking ---

    async def _look(self, index: int) -> None:
        """Ask for one order: what is told now must not be older than what was told before."""
        order, identifier = self.memory.orders[index], self.memory.client_order_id(index)
        reading = self._public.read("order", symbol=order.symbol, origClientOrderId=identifier)
        verdict = await self._verdict(reading, answers.READ_REFUSALS)
        if verdict.told is Told.DONE:
            found = self._read(verdict.body, index)
            if found is not None:
                self._check(Promise.READS, order.can_become(found), order, "is read as", found)
                self._take(index, found)
        elif verdict.code == answers.NO_SUCH_ORDER:
            # Of an unknown one this says nothing: it may still be on its way.
            self._check(Promise.READS, order.told is not Told.DONE, identifier, "is not found")

    def _read(self, body: Any, index: int | None) -> FoundOrder | None:
        """An order of ours in an answer, if it is the one that was asked for (None: any)."""
        try:
            found = order_from(body)
        except Unreadable as fault:
            self._check(Promise.ANSWERS, False, "unreadable:", fault)
            return None
        named = self.memory.index(found.client_order_id)
        is_right = named is not None and index in (None, named)
        is_right = is_right and self.memory.orders[named or 0].is_this(found)
        self._check(Promise.ANSWERS, is_right, self.memory.name, index, "was answered:", found)
        return found if is_right else None

    def _take(self, index: int, found: FoundOrder) -> None:
        order = self.memory.orders[index]
        order.learn(found)
        if order.has_ended:
            self._note_end(index)

    def _note_end(self, index: int) -> None:
        self.memory.orders[index].has_ended = True
        self._maybe_open.pop(index, None)

    # --- Money ---

    async def _transfer(self, kind: str, asset: str, amount: int, stop: asyncio.Event) -> None:
        """Move money, and repeat it under its reference until the answer is certain."""
        reference = f"{self.memory.name}/{len(self.memory.transfers)}"
        transfer = TransferMemory(kind=kind, asset=asset, amount=amount)
        self.memory.transfers[reference] = transfer
        body = {
            "account": self.memory.name, "asset": asset, "amount": wishes.amount_text(amount),
            "reference": reference,
        }  # fmt: skip
        path = "deposits" if kind == "DEPOSIT" else "withdrawals"
        verdict = await self._send_transfer(path, body)
        transfer.told = verdict.told
        while verdict.told is not Told.DONE and transfer.told is Told.UNKNOWN:
            if stop.is_set() or verdict.code == 400:
                # That a repeat was refused says little about the first.
                return
            await asyncio.sleep(self._chance.uniform(0.05, 0.3))
            verdict = await self._send_transfer(path, body)
            if verdict.told is Told.DONE:
                transfer.told = Told.DONE

    async def _send_transfer(self, path: str, body: dict[str, Any]) -> Verdict:
        calling = self._admin.post(path, body)
        return await verdict_on(calling, answers.admin, self._shared.findings)

    async def _verdict(self, calling: Any, refusals: frozenset[int]) -> Verdict:
        return await verdict_on(calling, answers.public(refusals), self._shared.findings)
