"""The average price: whole minutes, the current one included, and the last price without any."""

from exchange.services.average_price import MINUTE_US, MINUTES_KEPT, AveragePrice

UNIT = 10**8


def average(price: AveragePrice, minute: int, minutes: int = 5) -> int:
    return price.at(minute * MINUTE_US + 7, minutes, base_unit=UNIT, last_price=42)


def test_trades_weigh_by_their_quantity() -> None:
    price = AveragePrice()
    price.add(10 * MINUTE_US, 3 * UNIT, 300)
    price.add(10 * MINUTE_US + 5, 1 * UNIT, 200)

    assert average(price, 10) == 125


def test_a_minute_counts_until_it_is_as_many_minutes_old() -> None:
    price = AveragePrice()
    price.add(10 * MINUTE_US, UNIT, 100)
    price.add(12 * MINUTE_US, UNIT, 200)

    assert average(price, 14) == 150
    assert average(price, 15) == 200
    assert average(price, 17) == 42


def test_what_is_still_to_come_does_not_count() -> None:
    price = AveragePrice()
    price.add(10 * MINUTE_US, UNIT, 100)

    assert average(price, 9) == 42


def test_without_minutes_only_the_last_price_counts() -> None:
    price = AveragePrice()
    price.add(10 * MINUTE_US, UNIT, 100)

    assert average(price, 10, minutes=0) == 42


def test_the_quotient_is_rounded_down() -> None:
    price = AveragePrice()
    price.add(0, 3 * UNIT, 200)

    assert average(price, 0) == 66


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    price = AveragePrice()
    for minute in range(2 * MINUTES_KEPT):
        price.add(minute * MINUTE_US, UNIT, minute)

    last = 2 * MINUTES_KEPT - 1
    assert average(price, last, minutes=1) == last
    assert average(price, MINUTES_KEPT - 1, minutes=1) == 42
