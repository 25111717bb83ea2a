"""The parts of chaos that decide what counts as an answer, a gap, a fault or a recovery."""

import asyncio
import itertools
import math
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from exchange.lab.chaos import answers, found, plan, wishes
from exchange.lab.chaos.answers import Verdict, verdict_on
from exchange.lab.chaos.book import Book, Gap
from exchange.lab.chaos.client import Answer, Connection, Malformed, NoAnswer, NotSent, PublicApi
from exchange.lab.chaos.findings import EXAMPLES_MAX, Findings, Promise
from exchange.lab.chaos.listener import Tape
from exchange.lab.chaos.memory import AccountMemory, OrderMemory, Told
from exchange.lab.chaos.plan import PARTS, Fault, Kind
from exchange.lab.chaos.recovery import Pulse, Recovery, summarised
from exchange.lab.chaos.saboteur import Saboteur
from exchange.services.embedded import free_port
from exchange.services.run_file import Run, write_run

HEAD = b"HTTP/1.1 200 OK\r\n"


@asynccontextmanager
async def strange_server(answer: bytes, *, times: int = 1) -> AsyncIterator[Connection]:
    """A connection to somebody who says this to everything, and hangs up after so many times."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(times):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Connection(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")


class TestAnswers:
    async def test_an_answer_is_a_status_and_a_body(self) -> None:
        answer = HEAD + b'content-length: 8\r\n\r\n{"a": 1}'

        async with strange_server(answer, times=3) as connection:
            for _ in range(3):
                assert await connection.request("GET / HTTP/1.1") == Answer(200, {"a": 1})

    @pytest.mark.parametrize("cut", [b"", b"HTTP/1.1 2", HEAD + b'content-length: 8\r\n\r\n{"a"'])
    async def test_a_connection_that_ends_early_is_no_answer(self, cut: bytes) -> None:
        async with strange_server(cut) as connection:
            with pytest.raises(NoAnswer):
                await connection.request("GET / HTTP/1.1")

    @pytest.mark.parametrize(
        "wrong",
        [
            b"SSH-2.0-OpenSSH\r\n\r\n",
            HEAD + b"\r\n",
            HEAD + b"content-length: 3\r\n\r\nyes",
            HEAD + b"content-length: many\r\n\r\n{}",
        ],
    )
    async def test_what_is_no_answer_is_malformed(self, wrong: bytes) -> None:
        async with strange_server(wrong) as connection:
            with pytest.raises(Malformed):
                await connection.request("GET / HTTP/1.1")

    async def test_an_impatient_client_hangs_up_and_does_not_know(self) -> None:
        async with strange_server(b"", times=2) as connection:
            with pytest.raises(NoAnswer):
                await connection.request("GET / HTTP/1.1", patience=0.05)

    async def test_where_nobody_listens_nothing_was_sent(self) -> None:
        with pytest.raises(NotSent):
            await Connection(f"http://127.0.0.1:{free_port()}").request("GET / HTTP/1.1")

    @pytest.mark.parametrize(
        ("status", "body", "verdict"),
        [
            (200, {"orderId": 1}, Verdict(Told.DONE, {"orderId": 1})),
            (400, {"code": -2010, "msg": "no"}, Verdict(Told.REFUSED, code=-2010)),
            (503, {"code": -1008, "msg": "no"}, Verdict(Told.REFUSED, code=-1008)),
            (504, {"code": -1007, "msg": "?"}, Verdict(Told.UNKNOWN)),
            (500, {"code": -1000, "msg": "?"}, None),
            (504, {"code": -1001, "msg": "?"}, None),
            (503, {"code": -2010, "msg": "?"}, None),
            (503, {"code": -1007, "msg": "?"}, None),
            (502, {"code": -1008, "msg": "?"}, None),
            (401, {"code": -2015, "msg": "for no reason"}, None),
            (400, {"code": -2010, "msg": "Duplicate order sent."}, None),
            (400, {"code": -2010}, None),
            (400, {"code": "-2010", "msg": "no"}, None),
            (400, [], None),
            (400, "no", None),
        ],
    )
    def test_there_are_three_answers_and_no_other(
        self, status: int, body: Any, verdict: Verdict | None
    ) -> None:
        assert answers.public(answers.ORDER_REFUSALS)(Answer(status, body)) == verdict

    @pytest.mark.parametrize(
        ("status", "body", "told"),
        [
            (200, {}, Told.DONE),
            (400, {"error": "no"}, Told.REFUSED),
            (503, {"error": "no"}, Told.REFUSED),
            (504, {"error": "?"}, Told.UNKNOWN),
            (500, {"error": "?"}, None),
            (409, {"error": "used"}, None),
            (200, [], None),
            (400, {}, None),
        ],
    )
    def test_the_operators_api_has_the_same_three(
        self, status: int, body: Any, told: Told | None
    ) -> None:
        verdict = answers.admin(Answer(status, body))

        assert (verdict and verdict.told) == told

    @pytest.mark.parametrize(
        ("fault", "told", "violations"),
        [
            (NotSent(), Told.REFUSED, 0),
            (NoAnswer(), Told.UNKNOWN, 0),
            (Malformed(), Told.UNKNOWN, 1),
        ],
    )
    async def test_the_absence_of_an_answer_is_one_too(
        self, fault: Exception, told: Told, violations: int
    ) -> None:
        async def call() -> Answer:
            raise fault

        findings = Findings()

        verdict = await verdict_on(call(), answers.public(answers.ALWAYS), findings)

        assert (verdict.told, findings.violated) == (told, violations)

    async def test_a_fourth_answer_is_a_violation_and_counts_as_unknown(self) -> None:
        async def call() -> Answer:
            return Answer(500, {"code": -1000, "msg": "?"})

        findings = Findings()

        verdict = await verdict_on(call(), answers.public(answers.ALWAYS), findings)

        assert verdict.told is Told.UNKNOWN
        assert findings.results[Promise.ANSWERS].violated == 1

    def test_a_request_is_signed_over_all_that_it_says(self) -> None:
        public = PublicApi("http://127.0.0.1:1", "key", "secret")

        text = public.signed(5_000, symbol="SOLUSDC")

        unsigned, _, signature = text.partition("&signature=")
        assert unsigned.startswith("symbol=SOLUSDC&recvWindow=5000&timestamp=")
        assert len(signature) == 64


def test_findings_count_all_and_keep_the_first_in_words() -> None:
    findings = Findings()

    for number in range(EXAMPLES_MAX + 5):
        assert findings.check(Promise.ORDERS, True, "not", "said")
        assert not findings.check(Promise.ORDERS, False, "order", number)

    result = findings.results[Promise.ORDERS]
    assert (result.checked, result.violated) == (2 * EXAMPLES_MAX + 10, EXAMPLES_MAX + 5)
    assert result.examples[:2] == ["order 0", "order 1"]
    assert len(result.examples) == EXAMPLES_MAX
    assert findings.results[Promise.FILLS].examples == []


def state(**changes: Any) -> found.FoundOrder:
    fields: dict[str, Any] = {
        "symbol": "SOLUSDC", "id": 7, "client_order_id": "a-0", "side": "BUY", "type": "LIMIT",
        "price": 5, "quantity": 10, "executed": 4, "executed_quote": 20,
        "status": "PARTIALLY_FILLED",
    }  # fmt: skip
    return found.FoundOrder(**{**fields, **changes})


class TestMemory:
    """What may follow an acknowledged order of which 4 of 10 were executed."""

    def told(self, **changes: Any) -> OrderMemory:
        fields = {"price": 5, "quantity": 10, "told": Told.DONE, "order_id": 7, "executed": 4,
                  "status": "PARTIALLY_FILLED"}  # fmt: skip
        return OrderMemory("SOLUSDC", "BUY", "LIMIT", **{**fields, **changes})

    @pytest.mark.parametrize(
        ("changes", "can"),
        [
            ({}, True),
            ({"executed": 10, "status": "FILLED"}, True),
            ({"status": "CANCELED"}, True),
            ({"executed": 3}, False),
            ({"id": 8}, False),
            ({"status": "NEW"}, False),
        ],
    )
    def test_an_open_order_goes_on_and_never_back(self, changes: Any, can: bool) -> None:
        assert self.told().can_become(state(**changes)) is can

    def test_an_order_that_is_over_stays_as_it_was(self) -> None:
        over = self.told(status="CANCELED", has_ended=True)

        assert over.can_become(state(status="CANCELED"))
        assert not over.can_become(state(status="CANCELED", executed=5))
        assert not over.can_become(state())
        assert not self.told(has_ended=True).can_become(state())
        assert self.told(has_ended=True).can_become(state(status="FILLED", executed=10))

    def test_a_refused_order_becomes_nothing_and_an_unknown_one_anything(self) -> None:
        assert not self.told(told=Told.REFUSED).can_become(state())
        assert self.told(told=Told.UNKNOWN).can_become(state(id=99, executed=0, status="NEW"))

    def test_what_is_learned_is_what_is_expected_from_then_on(self) -> None:
        order = self.told(told=Told.UNKNOWN, order_id=0, executed=0, status="")

        order.learn(state(status="EXPIRED", executed=6))

        assert (order.told, order.order_id, order.has_ended) == (Told.DONE, 7, True)
        assert not order.can_become(state(status="EXPIRED", executed=5))

    def test_an_order_is_found_by_the_id_it_was_sent_under_only(self) -> None:
        memory = AccountMemory("a-b", 1)
        memory.orders = [self.told(), self.told()]

        assert [memory.index(memory.client_order_id(number)) for number in (0, 1, 2)] == [
            0,
            1,
            None,
        ]
        assert [memory.index(name) for name in ("a-b-01", "a-b--1", "a-0", "", "a-b-x")] == [
            None
        ] * 5


class TestFound:
    BODY: ClassVar[dict[str, Any]] = {
        "symbol": "SOLUSDC", "orderId": 7, "clientOrderId": "c", "side": "BUY", "type": "LIMIT",
        "price": "1.50000000", "origQty": "2.00000000", "executedQty": "1.00000000",
        "cummulativeQuoteQty": "1.50000000", "status": "PARTIALLY_FILLED", "more": "is ignored",
        "fills": [{"price": "1.50000000", "qty": "1.00000000", "commission": "0.00100000",
                   "commissionAsset": "SOL", "tradeId": 3}],
    }  # fmt: skip

    def test_an_order_is_read_in_units(self) -> None:
        order = found.order_from(self.BODY)

        assert (order.price, order.quantity, order.executed) == (150_000_000, 2 * 10**8, 10**8)
        assert order.fills == (found.Fill(3, 150_000_000, 10**8, 100_000, "SOL"),)

    def test_a_cancel_names_the_order_in_another_field(self) -> None:
        cancel = {**self.BODY, "origClientOrderId": "the order", "clientOrderId": "the cancel"}

        assert found.order_from(cancel).client_order_id == "the order"

    @pytest.mark.parametrize("field", ["orderId", "status", "executedQty", "symbol", "side"])
    def test_an_answer_without_a_field_or_with_another_type_is_unreadable(self, field: str) -> None:
        wrongs: tuple[Any, ...] = (
            {key: value for key, value in self.BODY.items() if key != field},
            {**self.BODY, field: None},
            {**self.BODY, "price": "1e5"},
            [],
        )
        for wrong in wrongs:
            with pytest.raises(found.Unreadable):
                found.order_from(wrong)


class TestBook:
    SNAPSHOT: ClassVar[dict[str, Any]] = {
        "lastUpdateId": 10,
        "bids": [["99", "1"]],
        "asks": [["101", "2"]],
    }

    @staticmethod
    def event(first: int, last: int, bids: Any = (), asks: Any = ()) -> dict[str, Any]:
        return {"s": "SOLUSDC", "U": first, "u": last, "b": bids, "a": asks}

    def book(self, *before: dict[str, Any]) -> Book:
        book = Book()
        for event in before:
            book.hear(event)
        book.load(self.SNAPSHOT)
        return book

    def test_events_change_and_remove_levels(self) -> None:
        book = self.book()

        book.hear(self.event(11, 12, bids=[["98", "3"]], asks=[["101", "0.00000000"]]))

        assert book.shows({"bids": [["99", "1"], ["98", "3"]], "asks": []})
        assert not book.shows(self.SNAPSHOT)
        assert book.update_id == 12

    def test_what_was_heard_before_the_snapshot_is_dropped_or_goes_on_from_it(self) -> None:
        book = self.book(
            self.event(7, 9, bids=[["1", "1"]]), self.event(10, 12, asks=[["102", "1"]])
        )

        assert book.shows({"bids": [["99", "1"]], "asks": [["101", "2"], ["102", "1"]]})

    @pytest.mark.parametrize("first", [12, 15])
    def test_a_gap_is_seen(self, first: int) -> None:
        with pytest.raises(Gap):
            self.book(self.event(first, 20))
        book = self.book()
        with pytest.raises(Gap):
            book.hear(self.event(first, 20))

    def test_an_overlap_is_allowed_for_the_first_event_only(self) -> None:
        book = self.book()
        book.hear(self.event(9, 12))

        with pytest.raises(Gap):
            book.hear(self.event(12, 14))


class TestTape:
    def test_trades_follow_each_other_on_a_connection_and_may_be_missed_between_two(self) -> None:
        tape = Tape()

        assert [tape.hear(id, 0) for id in (4, 5, 6)] == ["", "", ""]
        tape.reconnect()
        assert [tape.hear(id, 0) for id in (9, 10)] == ["", ""]

        assert tape.spans == [[4, 6], [9, 10]]

    def test_a_trade_that_is_left_out_or_told_twice_is_seen(self) -> None:
        tape = Tape()
        tape.hear(4, 0)

        assert "6 came after 4" in tape.hear(6, 0)
        tape.reconnect()
        assert "streamed twice" in tape.hear(6, 0)


class TestPlan:
    def test_the_same_seed_plans_the_same(self) -> None:
        first, again, other = (
            list(itertools.islice(plan.faults(seed, PARTS), 50)) for seed in (1, 1, 2)
        )

        assert first == again != other

    def test_every_part_is_killed_first_and_everything_else_comes_too(self) -> None:
        faults = list(itertools.islice(plan.faults(1, PARTS), 500))

        assert {fault.parts for fault in faults[: len(PARTS)]} == {(part,) for part in PARTS}
        assert faults[len(PARTS)].kind is Kind.KILL_ALL
        assert {fault.kind for fault in faults} == set(Kind)
        assert {part for fault in faults for part in fault.parts} == set(PARTS)

    def test_a_fault_stays_within_what_its_kind_may_kill(self) -> None:
        for fault in itertools.islice(plan.faults(3, PARTS[:4]), 500):
            assert set(fault.parts) <= set(PARTS[:4])
            if fault.kind in plan.KILLS_MAX:
                assert len(fault.parts) <= plan.KILLS_MAX[fault.kind] + (
                    fault.kind is Kind.STOP_AND_KILL
                )


def test_wishes_are_within_the_filters_of_their_market() -> None:
    chance = random.Random(1)

    kinds = set()
    for _ in range(300):
        order, wish = wishes.draw_order(chance)
        kinds.add((order.type, wish.get("timeInForce"), "quoteOrderQty" in wish))
        assert found.units(str(wish.get("price", "0"))) == order.price
        assert found.units(str(wish.get("quantity", "0"))) == order.quantity
        if order.price and order.quantity:
            assert order.price * order.quantity // 10**8 >= 5 * 10**8
    assert len(kinds) == 6


class TestRecovery:
    async def test_what_began_before_the_fault_does_not_count(self) -> None:
        pulse = Pulse()
        waiting = asyncio.create_task(pulse.after(100.0))
        await asyncio.sleep(0)

        pulse.note(99.9)
        await asyncio.sleep(0)
        assert not waiting.done()
        pulse.note(100.0)

        assert await waiting <= Pulse.now()

    def test_a_row_is_the_median_and_the_maximum_of_one_fault(self) -> None:
        recoveries = [Recovery("engine killed", float(n), 0.1, None) for n in (3, 1, 2)]

        (row,) = summarised(recoveries)

        assert (row.fault, row.times) == ("engine killed", 3)
        assert (row.orders_median, row.orders_max) == (2.0, 3.0)
        assert (row.reads_median, row.reads_max) == (0.1, 0.1)
        assert math.isnan(row.streams_median)


class TestSaboteur:
    """Against processes that only sleep."""

    @pytest.fixture
    def victims(self, tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
        sleeping = {part: sleeper() for part in ("engine", "redis")}
        self.note(tmp_path, sleeping)
        yield sleeping
        for one in sleeping.values():
            one.kill()
            one.wait()

    @staticmethod
    def note(folder: Path, processes: dict[str, subprocess.Popen[bytes]]) -> None:
        pids: dict[str, int | None] = {part: one.pid for part, one in processes.items()}
        write_run(
            folder,
            Run(api="", ws="", admin="", admin_token="", redis_url="", database_url="",
                pids={**pids, "postgres": None}),
        )  # fmt: skip

    @staticmethod
    def fault(kind: Kind, *parts: str) -> Fault:
        return Fault(kind=kind, parts=parts, seconds=0.2, whole_tree=True, pause=0)

    @staticmethod
    def is_stopped(process: subprocess.Popen[bytes]) -> bool:
        stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8")
        return stat.rpartition(")")[2].split()[0] == "T"

    async def test_what_it_kills_dies_and_what_it_stops_goes_on(
        self, tmp_path: Path, victims: dict[str, subprocess.Popen[bytes]]
    ) -> None:
        saboteur = Saboteur(tmp_path)
        assert saboteur.parts() == ["engine", "redis"]

        doing = asyncio.create_task(
            saboteur.carry_out(self.fault(Kind.STOP_AND_KILL, "engine", "redis"))
        )
        await eventually(lambda: self.is_stopped(victims["engine"]))
        await doing

        assert victims["redis"].wait(10) == -signal.SIGKILL
        assert not self.is_stopped(victims["engine"])
        assert (saboteur.kills, saboteur.stops) == (1, 1)

    async def test_nothing_stays_stopped_when_it_is_interrupted(
        self, tmp_path: Path, victims: dict[str, subprocess.Popen[bytes]]
    ) -> None:
        saboteur = Saboteur(tmp_path)
        fault = Fault(kind=Kind.STOP_LONG, parts=("engine",), seconds=600, whole_tree=True, pause=0)
        doing = asyncio.create_task(saboteur.carry_out(fault))
        await eventually(lambda: self.is_stopped(victims["engine"]))

        doing.cancel()

        await eventually(lambda: not self.is_stopped(victims["engine"]))

    async def test_the_dead_are_not_killed_again_but_those_who_follow_are(
        self, tmp_path: Path, victims: dict[str, subprocess.Popen[bytes]]
    ) -> None:
        saboteur = Saboteur(tmp_path)
        await saboteur.carry_out(self.fault(Kind.KILL, "redis"))
        victims["redis"].wait(10)
        again = asyncio.create_task(saboteur.carry_out(self.fault(Kind.KILL, "redis")))
        await asyncio.sleep(0.1)
        assert saboteur.kills == 1

        victims["redis"] = sleeper()
        self.note(tmp_path, victims)

        await again
        assert victims["redis"].wait(10) == -signal.SIGKILL
        assert saboteur.kills == 2


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)
