"""Request limits: counted per address in aligned windows, in bounded memory, with growing bans."""

import msgspec
import pytest

from exchange.backend import request_limits
from exchange.backend.errors import ApiError
from exchange.backend.request_limits import BANS_S, FORGIVEN_S, REFUSALS_MAX, RequestLimits
from exchange.services.rate_limits import API_LIMITS

START = 1_700_000_100
"""A whole minute, and a whole five."""
BINANCE = API_LIMITS["binance"]


def limits(**changes: int) -> RequestLimits:
    return RequestLimits(msgspec.structs.replace(BINANCE, **changes))


def refusal(counted: RequestLimits, now: int, address: str = "a") -> tuple[int, int, int | None]:
    with pytest.raises(ApiError) as caught:
        counted.request(address, 1, now)
    return caught.value.status, caught.value.code, caught.value.retry_after_s


def ban(counted: RequestLimits, now: int) -> int:
    """Have an address banned that is over its weight; for how long."""
    counted.request("a", 0, now)
    for _ in range(REFUSALS_MAX):
        assert refusal(counted, now)[0] == 429
    status, _, seconds = refusal(counted, now)
    assert status == 418
    assert seconds is not None
    return seconds


def test_weight_adds_up_within_a_minute_and_starts_again_with_the_next() -> None:
    counted = limits()
    used = []

    for weight, now in ((5, START), (7, START + 59), (1, START + 60)):
        counted.request("a", weight, now)
        used.append(counted.used("a", now))

    assert used == [5, 12, 1]


def test_addresses_are_counted_apart() -> None:
    counted = limits()

    counted.request("a", 5, START)
    counted.request("b", 1, START)

    assert (counted.used("a", START), counted.used("b", START)) == (5, 1)


def test_weight_that_is_given_back_is_not_used() -> None:
    counted = limits()

    counted.request("a", 5, START)
    counted.give_back("a", 5, START)

    assert counted.used("a", START) == 0


def test_what_a_minute_used_is_not_given_back_to_the_next() -> None:
    counted = limits()
    counted.request("a", 5, START)

    counted.give_back("a", 5, START + 60)
    counted.request("a", 1, START + 60)

    assert counted.used("a", START + 60) == 1


def test_more_weight_than_there_is_waits_for_the_end_of_the_minute() -> None:
    counted = limits(request_weight=10)

    counted.request("a", 10, START)

    assert refusal(counted, START) == (429, -1003, 60)
    assert refusal(counted, START + 59) == (429, -1003, 1)
    counted.request("a", 10, START + 60)


def test_weight_that_is_known_late_is_refused_late() -> None:
    counted = limits(request_weight=10)

    counted.request("a", 1, START)
    with pytest.raises(ApiError) as caught:
        counted.weigh("a", 10, START)

    assert caught.value.message == (
        "Too much request weight used; current limit is 10 request weight per 1 MINUTE."
        " Please use WebSocket Streams for live updates to avoid polling the API."
    )


def test_more_requests_than_there_are_wait_for_the_end_of_the_five_minutes() -> None:
    counted = limits(raw_requests=2)

    counted.request("a", 0, START)
    counted.request("a", 0, START + 299)

    assert refusal(counted, START + 299) == (429, -1003, 1)
    counted.request("a", 0, START + 300)


def test_who_goes_on_is_banned_and_told_until_when() -> None:
    counted = limits(request_weight=0)

    seconds = ban(counted, START)

    assert seconds == BANS_S[0] == 120
    with pytest.raises(ApiError) as caught:
        counted.request("a", 1, START + 20)
    assert (caught.value.status, caught.value.retry_after_s) == (418, 100)
    assert caught.value.message == (
        f"Way too much request weight used; IP banned until {(START + 120) * 1_000}."
        " Please use WebSocket Streams for live updates to avoid bans."
    )


def test_a_ban_ends() -> None:
    counted = limits(request_weight=0)
    ban(counted, START)

    counted.request("a", 0, START + 120)


def test_a_ban_is_of_one_address() -> None:
    counted = limits(request_weight=0)
    ban(counted, START)

    counted.request("b", 0, START)


def test_each_ban_is_longer_than_the_one_before_up_to_three_days() -> None:
    counted = limits(request_weight=0)
    now, lengths = START, []

    for _ in range(len(BANS_S) + 1):
        lengths.append(ban(counted, now))
        now += lengths[-1] + 60

    assert lengths == [*BANS_S, BANS_S[-1]]
    assert (lengths[0], lengths[-1]) == (2 * 60, 3 * 24 * 60 * 60)


def test_bans_are_forgiven_in_time() -> None:
    counted = limits(request_weight=0)
    ban(counted, START)
    ban(counted, START + 180)

    assert ban(counted, START + 180 + BANS_S[1] + FORGIVEN_S) == BANS_S[0]


def test_refusals_of_different_minutes_do_not_add_up_to_a_ban() -> None:
    counted = limits(request_weight=0)

    for minute in range(2 * REFUSALS_MAX):
        assert refusal(counted, START + 60 * minute)[0] == 429


def test_too_many_addresses_share_one_count_and_none_of_them_is_banned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_limits, "ADDRESSES_MAX", 3)
    counted = limits(request_weight=1)
    for address in "abc":
        counted.request(address, 1, START)

    counted.request("d", 1, START)

    assert counted.used("e", START) == 1
    for _ in range(2 * REFUSALS_MAX):
        assert refusal(counted, START, "e")[0] == 429
    counted.request("f", 0, START + 60)


def test_of_too_many_banned_addresses_the_oldest_are_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted = limits(request_weight=0)
    monkeypatch.setattr(request_limits, "ADDRESSES_MAX", 2)
    for place, address in enumerate("abc"):
        now = START + 60 * place
        for _ in range(REFUSALS_MAX + 1):
            refusal(counted, now, address)

    counted.request("a", 0, START + 121)

    assert refusal(counted, START + 121, "b")[0] == 418
