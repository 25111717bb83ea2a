"""The grid bot against a real exchange: `pip install -e ".[test]"` and `pytest`, nothing else."""

import ccxt
import pytest
from grid_bot import GridBot

SYMBOL, MARKET = "BTC/USDT", "BTCUSDT"
LINES = [100.0, 110.0, 120.0, 130.0, 140.0, 150.0, 160.0]
MIDDLE = 3
AMOUNT = 1.0
FEE = 0.001


@pytest.fixture
def market(venue):
    """Somebody else's quotes far away, whose middle is the line 130."""
    venue.book(MARKET, bids=[(50, 100)], asks=[(210, 100)])
    return venue


@pytest.fixture
def account(market):
    return market.account(USDT=10_000, BTC=100)


@pytest.fixture
def bot(account):
    return GridBot(account.ccxt(), SYMBOL, lines=LINES, amount=AMOUNT)


@pytest.fixture
def running(bot):
    bot.step()
    return bot


def orders(bot):
    """Side by line."""
    found = bot.client.fetch_open_orders(SYMBOL)
    return {LINES.index(order["price"]): order["side"] for order in found}


def grid(empty):
    """What stands on the lines when this one is empty."""
    return {line: "buy" if line < empty else "sell" for line in range(len(LINES)) if line != empty}


def hit(market, line, amount=AMOUNT):
    """Let a stranger trade with what the bot has on a line, and on all lines before."""
    side = "SELL" if line < MIDDLE else "BUY"
    market.take(MARKET, side, amount, LINES[line])


# --- It begins ---


@pytest.mark.parametrize("middle", range(1, 6))
def test_it_buys_below_the_price_and_sells_above(venue, middle):
    price = LINES[middle]
    venue.book(MARKET, bids=[(price - 80, 1)], asks=[(price + 80, 1)])
    bot = GridBot(venue.account(USDT=10_000, BTC=100).ccxt(), SYMBOL, lines=LINES, amount=AMOUNT)

    placed = bot.step()

    assert len(placed) == 6
    assert orders(bot) == grid(empty=middle)


def test_its_orders_stand_in_the_book(running, market):
    bids, asks = market.depth(MARKET)

    assert bids[:3] == [(120, 1), (110, 1), (100, 1)]
    assert asks[:3] == [(140, 1), (150, 1), (160, 1)]


def test_its_orders_hold_its_money(running, account):
    assert account.balance("USDT") == (10_000 - 330, 330)
    assert account.balance("BTC") == (97, 3)


def test_the_last_price_decides_where_there_are_no_quotes(venue):
    venue.trade(MARKET, 141)
    bot = GridBot(venue.account(USDT=10_000, BTC=100).ccxt(), SYMBOL, lines=LINES, amount=AMOUNT)

    bot.step()

    assert orders(bot) == grid(empty=4)


def test_without_any_price_it_waits(venue):
    bot = GridBot(venue.account(USDT=10_000, BTC=100).ccxt(), SYMBOL, lines=LINES, amount=AMOUNT)

    with pytest.raises(ccxt.ExchangeNotAvailable, match="no price"):
        bot.step()

    assert orders(bot) == {}


@pytest.mark.parametrize("lines", [[], [100], [100, 100.001, 99.999], [100, 110]])
def test_a_grid_of_less_than_three_lines_is_refused(account, lines):
    with pytest.raises(ValueError, match="three different lines"):
        GridBot(account.ccxt(), SYMBOL, lines=lines, amount=AMOUNT)


def test_prices_are_cut_to_the_ticks_of_the_market(account):
    bot = GridBot(account.ccxt(), SYMBOL, lines=[100.004, 110.009, 120], amount=1.000001234)

    assert bot.lines == [100.0, 110.01, 120.0]
    assert bot.amount == 1.0


# --- It trades ---


@pytest.mark.parametrize("line", [0, 1, 2, 4, 5, 6])
def test_the_line_that_was_traded_last_is_the_empty_one(running, market, line):
    hit(market, line, amount=abs(line - MIDDLE) * AMOUNT)

    running.step()

    assert orders(running) == grid(empty=line)


@pytest.mark.parametrize("line", [2, 4])
def test_one_fill_costs_one_new_order_on_the_line_that_was_empty(running, market, line):
    hit(market, line)

    (placed,) = running.step()

    assert placed["clientOrderId"] == f"grid-{MIDDLE}"
    assert placed["side"] == ("sell" if line < MIDDLE else "buy")


def test_nothing_is_placed_while_nothing_happens(running):
    assert [running.step() for _ in range(3)] == [[], [], []]


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_an_order_that_is_filled_in_part_keeps_its_line(running, market, part):
    hit(market, 2, amount=part)

    running.step()

    assert orders(running)[2] == "buy"
    (order,) = [one for one in running.client.fetch_open_orders(SYMBOL) if one["price"] == 120]
    assert order["filled"] == pytest.approx(part)


def test_a_line_filled_in_two_parts_is_one_fill(running, market):
    hit(market, 2, amount=0.4)
    running.step()
    hit(market, 2, amount=0.6)

    running.step()

    assert orders(running) == grid(empty=2)


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_price_that_goes_down_and_up_again_pays_the_distance_less_fees(
    running, market, account, rounds
):
    for _ in range(rounds):
        hit(market, 2)
        running.step()
        market.take(MARKET, "BUY", AMOUNT, LINES[MIDDLE])
        running.step()

    # It pays in what it receives: of a buy in BTC, of a sell in USDT.
    assert running.profit() == pytest.approx(rounds * (130 - 120 - 130 * FEE))
    assert sum(account.balance("BTC")) == pytest.approx(100 - rounds * FEE)
    assert sum(account.balance("USDT")) == pytest.approx(10_000 + running.profit())


@pytest.mark.parametrize("path", [[2, 1, 0], [4, 5, 6]])
def test_it_follows_the_price_to_the_end_of_its_grid(running, market, path):
    for line in path:
        hit(market, line)
        running.step()

    assert orders(running) == grid(empty=path[-1])


@pytest.mark.parametrize(("first", "second"), [(2, 4), (4, 2)])
def test_a_price_that_jumps_over_the_empty_line_ends_where_it_traded_last(
    running, market, first, second
):
    hit(market, first)
    hit(market, second)

    running.step()

    assert orders(running)[0] == "buy"
    assert orders(running)[6] == "sell"
    assert second not in orders(running)


def test_without_a_trade_there_is_no_profit(running):
    assert running.profit() == 0


# --- It fails, and goes on ---


@pytest.mark.parametrize("fills", [0, 1, 2, 3])
def test_a_bot_that_was_killed_is_started_again(running, market, account, fills):
    for line in range(MIDDLE - 1, MIDDLE - 1 - fills, -1):
        hit(market, line)
    again = GridBot(account.ccxt(), SYMBOL, lines=LINES, amount=AMOUNT)

    again.step()

    assert orders(again) == grid(empty=MIDDLE - fills)


def test_two_steps_at_once_place_no_order_twice(running, market, account):
    hit(market, 2)
    other = GridBot(account.ccxt(), SYMBOL, lines=LINES, amount=AMOUNT)
    other._own_orders = dict  # it has looked before the others were placed

    with pytest.raises(ccxt.ExchangeError, match="Duplicate"):
        other.step()

    running.step()
    assert orders(running) == grid(empty=2)


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": -1007, "executed": True},
        {"fault": -1007, "executed": False},
        {"fault": "drop", "executed": True},
        {"fault": 429},
        {"fault": 418},
    ],
    ids=["unknown-placed", "unknown-not-placed", "dropped-placed", "too-many", "banned"],
)
def test_whatever_became_of_an_order_each_line_has_it_once(bot, market, fault):
    market.faults(fault | {"on": "order.place", "after": 2, "count": 1})
    with pytest.raises(ccxt.NetworkError):
        bot.step()

    bot.step()

    assert orders(bot) == grid(empty=MIDDLE)
    assert len(bot.client.fetch_open_orders(SYMBOL)) == 6


@pytest.mark.parametrize(
    ("usdt", "unfunded"), [(340, set()), (329, {2}), (105, {1, 2}), (10, {0, 1, 2})]
)
def test_lines_without_money_are_left_out_and_named(market, usdt, unfunded):
    poor = market.account(USDT=usdt, BTC=100)
    bot = GridBot(poor.ccxt(), SYMBOL, lines=LINES, amount=AMOUNT)

    bot.step()

    assert bot.unfunded == unfunded
    assert set(orders(bot)) == set(grid(empty=MIDDLE)) - unfunded


def test_lines_get_their_orders_when_money_has_come(market):
    poor = market.account(BTC=100)
    bot = GridBot(poor.ccxt(), SYMBOL, lines=LINES, amount=AMOUNT)
    bot.step()

    body = {"account": poor.name, "asset": "USDT", "amount": "1000", "reference": poor.name}
    market.admin.post("deposits", body=body)
    bot.step()

    assert orders(bot) == grid(empty=MIDDLE)


def test_while_the_market_is_halted_nothing_happens_and_then_all(bot, market):
    market.halt(MARKET)
    with pytest.raises(ccxt.BaseError):
        bot.step()
    assert orders(bot) == {}

    market.resume(MARKET)
    bot.step()

    assert orders(bot) == grid(empty=MIDDLE)


def test_an_exchange_that_cannot_be_reached_is_a_network_error(bot, account):
    client = account.ccxt(timeout=1_000)
    client.urls["api"]["private"] = "http://127.0.0.1:9/api/v3"
    bot.client = client

    with pytest.raises(ccxt.NetworkError):
        bot.step()


# --- It ends ---


def test_stopping_takes_all_its_orders_back(running, account):
    assert running.stop() == 6

    assert orders(running) == {}
    assert account.balance("USDT") == (10_000, 0)


def test_orders_of_the_same_account_that_are_not_its_own_stay(running):
    other = running.client.create_order(SYMBOL, "limit", "buy", 1, 90)

    running.stop()

    (left,) = running.client.fetch_open_orders(SYMBOL)
    assert left["id"] == other["id"]


def test_two_bots_of_one_account_keep_to_their_names(running, account):
    lines = [105.0, 115.0, 125.0]
    second = GridBot(account.ccxt(), SYMBOL, lines=lines, amount=AMOUNT, name="second")
    second.step()

    assert second.stop() == 2
    assert orders(running) == grid(empty=MIDDLE)


def test_a_stopped_bot_may_begin_again(running):
    running.stop()

    running.step()

    assert orders(running) == grid(empty=MIDDLE)
