"""What a trade costs each side: the rates of the market and of tiers, and the discount asset."""

import pytest
from msgspec.structs import replace
from venue import MARKET, SYMBOL, UNIT, Venue, WatchedVenue, reason, rows_of

from exchange.services.commands import ChangeAccount
from exchange.services.markets import RATE_SCALE, Market, Tier
from exchange.services.messages import Outcome, Reason
from exchange.services.orders import Side
from exchange.services.rows import FEE_ACCOUNT, Account, Trade

BUY, SELL = Side.BUY, Side.SELL


def market(base: str, quote: str) -> Market:
    return replace(MARKET, symbol=base + quote, base=base, quote=quote)


@pytest.fixture
def venue() -> Venue:
    """SOL trades for USDC, and so does BNB, which makes fees a quarter cheaper."""
    venue = WatchedVenue(MARKET, market("BNB", "USDC"), market("USDC", "EUR"))
    venue.exchange_rule(discount_asset="BNB", discount=750_000)
    return venue


@pytest.fixture
def alice(venue: Venue) -> int:
    return venue.account("alice", SOL=1_000, USDC=100_000, BNB=100, EUR=1_000)


@pytest.fixture
def bob(venue: Venue) -> int:
    return venue.account("bob", SOL=1_000, USDC=100_000, BNB=100, EUR=1_000)


def trade(
    venue: Venue, seller: int, buyer: int, price: float = 200, symbol: str = SYMBOL
) -> Outcome:
    """One whole, taken by the buyer."""
    venue.order(seller, SELL, 1, price, symbol=symbol)
    return venue.order(buyer, BUY, 1, price, symbol=symbol)


def fees(outcome: Outcome) -> tuple[tuple[float, str], tuple[float, str]]:
    """What buyer and seller paid; "" is what each has received."""
    (row,) = rows_of(outcome, Trade)
    return (row.buy_fee / UNIT, row.buy_fee_asset), (row.sell_fee / UNIT, row.sell_fee_asset)


# --- Rates ---


def test_an_account_pays_the_rates_of_its_tier(venue: Venue, alice: int, bob: int) -> None:
    venue.rule(
        maker_rate=1_000,
        taker_rate=2_000,
        tiers=(Tier(tier=3, maker_rate=100, taker_rate=500),),
    )
    assert fees(trade(venue, alice, bob)) == ((0.002, ""), (0.2, ""))

    venue.change_account(bob, tier=3)
    assert fees(trade(venue, alice, bob)) == ((0.0005, ""), (0.2, ""))

    venue.change_account(alice, tier=3)
    assert fees(trade(venue, alice, bob)) == ((0.0005, ""), (0.02, ""))


def test_a_tier_without_rates_pays_those_of_the_market(venue: Venue, alice: int, bob: int) -> None:
    venue.rule(tiers=(Tier(tier=3, maker_rate=0, taker_rate=0),))
    venue.change_account(bob, tier=2)

    assert fees(trade(venue, alice, bob)) == ((0.001, ""), (0.2, ""))


def test_new_rates_hold_for_orders_that_rest_already(venue: Venue, alice: int, bob: int) -> None:
    venue.order(alice, SELL, 1, 200)
    venue.rule(maker_rate=0, taker_rate=5_000)

    assert fees(venue.order(bob, BUY, 1, 200)) == ((0.005, ""), (0, ""))


def test_the_exchange_receives_all_fees(venue: Venue, alice: int, bob: int) -> None:
    venue.change_account(alice, discount=True)
    trade(venue, alice, bob, 200, "BNBUSDC")

    trade(venue, alice, bob)

    assert venue.free(FEE_ACCOUNT, "SOL") == 0.001
    # Three quarters of a thousandth of 200 in BNB at 200, twice.
    assert venue.free(FEE_ACCOUNT, "BNB") == 0.001 + 2 * 0.00075
    assert venue.free(FEE_ACCOUNT, "USDC") == 0


# --- The discount asset ---


def test_a_fee_in_the_discount_asset_is_converted_at_the_last_price_and_cheaper(
    venue: Venue, alice: int, bob: int
) -> None:
    trade(venue, alice, bob, 500, "BNBUSDC")
    for account in (alice, bob):
        venue.change_account(account, discount=True)

    outcome = trade(venue, alice, bob)

    # 0.2 USDC, three quarters of it, at 500.
    assert fees(outcome) == ((0.0003, "BNB"), (0.0003, "BNB"))
    assert venue.free(bob, "SOL") == 1_001


def test_the_discount_is_each_accounts_own_choice(venue: Venue, alice: int, bob: int) -> None:
    trade(venue, alice, bob, 500, "BNBUSDC")
    venue.change_account(bob, discount=True)

    assert fees(trade(venue, alice, bob)) == ((0.0003, "BNB"), (0.2, ""))

    venue.change_account(bob, discount=False)
    assert fees(trade(venue, alice, bob)) == ((0.001, ""), (0.2, ""))


def test_without_a_price_of_the_discount_asset_the_usual_fee_is_taken(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.change_account(bob, discount=True)

    assert fees(trade(venue, alice, bob)) == ((0.001, ""), (0.2, ""))


def test_who_has_too_little_of_the_discount_asset_pays_the_usual_fee(
    venue: Venue, alice: int, bob: int
) -> None:
    trade(venue, alice, bob, 500, "BNBUSDC")
    enough = venue.account("enough", USDC=1_000, BNB=0.0003)
    too_little = venue.account("too little", USDC=1_000)
    venue.deposit(too_little, "BNB", 29_999)
    for account in (enough, too_little):
        venue.change_account(account, discount=True)

    assert fees(trade(venue, alice, enough))[0] == (0.0003, "BNB")
    assert fees(trade(venue, alice, too_little))[0] == (0.001, "")
    assert venue.free(enough, "BNB") == 0
    assert venue.engine.ledger.free(too_little, "BNB") == 29_999


def test_what_is_locked_in_an_order_pays_no_fee(venue: Venue, alice: int, bob: int) -> None:
    trade(venue, alice, bob, 500, "BNBUSDC")
    venue.change_account(bob, discount=True)
    venue.order(bob, SELL, 101 - 0.001, 500, symbol="BNBUSDC")
    assert venue.free(bob, "BNB") == 0

    assert fees(trade(venue, alice, bob)) == ((0.001, ""), (0.2, ""))


def test_each_fill_of_a_sweep_decides_for_itself(venue: Venue, alice: int, bob: int) -> None:
    trade(venue, alice, bob, 500, "BNBUSDC")
    buyer = venue.account("buyer", USDC=1_000, BNB=0.0005)
    venue.change_account(buyer, discount=True)
    for _ in range(3):
        venue.order(alice, SELL, 1, 200)

    rows = rows_of(venue.order(buyer, BUY, 3, 200), Trade)

    assert [row.buy_fee_asset for row in rows] == ["BNB", "", ""]


def test_the_discount_asset_itself_is_converted_at_the_price_of_the_trade(
    venue: Venue, alice: int, bob: int
) -> None:
    trade(venue, alice, bob, 500, "BNBUSDC")
    for account in (alice, bob):
        venue.change_account(account, discount=True)

    outcome = trade(venue, alice, bob, 400, "BNBUSDC")

    # A thousandth of one BNB, three quarters of it; the buyer receives that asset anyway.
    assert fees(outcome) == ((0.00075, ""), (0.00075, "BNB"))


def test_a_quote_that_is_the_discount_asset_needs_no_price(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.exchange_rule(discount_asset="USDC", discount=500_000)
    for account in (alice, bob):
        venue.change_account(account, discount=True)

    assert fees(trade(venue, alice, bob)) == ((0.1, "USDC"), (0.1, ""))
    assert venue.free(bob, "SOL") == 1_001


def test_a_buyer_can_pay_with_what_was_just_bought(venue: Venue, alice: int) -> None:
    venue.exchange_rule(discount_asset="SOL", discount=750_000)
    buyer = venue.account("buyer", USDC=200)
    venue.change_account(buyer, discount=True)

    assert fees(trade(venue, alice, buyer))[0] == (0.00075, "")


def test_a_market_in_the_other_direction_gives_the_price_too(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.exchange_rule(discount_asset="EUR", discount=500_000)
    venue.order(alice, SELL, 10, 0.9, symbol="USDCEUR")
    venue.order(bob, BUY, 10, 0.9, symbol="USDCEUR")
    venue.change_account(bob, discount=True)

    # Half of 0.2 USDC, at 0.9 EUR for one.
    assert fees(trade(venue, alice, bob))[0] == (0.09, "EUR")


def test_of_two_markets_that_give_a_price_the_first_by_name_counts() -> None:
    venue = WatchedVenue(MARKET, market("USDC", "BNB"), market("BNB", "USDC"))
    venue.exchange_rule(discount_asset="BNB", discount=500_000)
    alice = venue.account("alice", SOL=1_000, USDC=100_000, BNB=1_000)
    bob = venue.account("bob", SOL=1_000, USDC=100_000, BNB=1_000)
    venue.change_account(bob, discount=True)
    venue.order(alice, SELL, 1_000, 0.01, symbol="USDCBNB")
    venue.order(bob, BUY, 1_000, 0.01, symbol="USDCBNB")
    assert fees(trade(venue, alice, bob))[0] == (0.001, "BNB")

    trade(venue, alice, bob, 50, "BNBUSDC")

    assert fees(trade(venue, alice, bob))[0] == (0.002, "BNB")


def test_every_step_of_a_discounted_fee_is_rounded_down(venue: Venue, alice: int, bob: int) -> None:
    trade(venue, alice, bob, 333.33, "BNBUSDC")
    venue.change_account(bob, discount=True)
    venue.rule(taker_rate=777)
    venue.order(alice, SELL, 0.051, 100.01)

    (row,) = rows_of(venue.order(bob, BUY, 0.051, 100.01), Trade)

    quote = 510_051_000
    assert row.quote_quantity == quote
    value = quote * 777 // RATE_SCALE * 750_000 // RATE_SCALE
    assert (row.buy_fee, row.buy_fee_asset) == (value * UNIT // 33_333_000_000, "BNB")


def test_a_market_may_not_take_part_in_the_discount(venue: Venue, alice: int, bob: int) -> None:
    trade(venue, alice, bob, 500, "BNBUSDC")
    venue.change_account(bob, discount=True)
    venue.rule(fee_discount=False)

    assert fees(trade(venue, alice, bob)) == ((0.001, ""), (0.2, ""))


def test_without_a_discount_asset_there_is_no_discount(venue: Venue, alice: int, bob: int) -> None:
    trade(venue, alice, bob, 500, "BNBUSDC")
    venue.change_account(bob, discount=True)
    venue.exchange_rule(discount_asset="")

    assert fees(trade(venue, alice, bob)) == ((0.001, ""), (0.2, ""))


def test_a_fee_of_nothing_is_nothing_also_in_the_discount_asset(
    venue: Venue, alice: int, bob: int
) -> None:
    trade(venue, alice, bob, 500, "BNBUSDC")
    venue.change_account(bob, discount=True)
    venue.rule(taker_rate=0)

    assert fees(trade(venue, alice, bob))[0][0] == 0


# --- Who may change it ---


def test_what_a_change_of_an_account_leaves_out_stays(venue: Venue, alice: int) -> None:
    venue.change_account(alice, tier=2, discount=True)

    outcome = venue.change_account(alice, tier=5)

    (row,) = rows_of(outcome, Account)
    assert (row.tier, row.discount, row.stopped) == (5, True, False)


def test_an_impossible_change_of_an_account_is_refused(venue: Venue, alice: int) -> None:
    for command in (
        ChangeAccount(uid=1, account=alice, tier=-1),
        ChangeAccount(uid=1, account=FEE_ACCOUNT, tier=1),
    ):
        assert reason(venue.do(command)) is Reason.INVALID
    unknown = ChangeAccount(uid=1, account=99_999, tier=1)
    assert reason(venue.do(unknown)) is Reason.UNKNOWN_ACCOUNT


def test_impossible_rules_of_the_exchange_are_refused(venue: Venue) -> None:
    assert reason(venue.exchange_rule(discount_asset="DOGE")) is Reason.UNKNOWN_ASSET
    assert reason(venue.exchange_rule(assets_max={"DOGE": 1})) is Reason.UNKNOWN_ASSET
    assert reason(venue.exchange_rule(discount=RATE_SCALE + 1)) is Reason.INVALID
    assert reason(venue.exchange_rule(orders_max=-1)) is Reason.INVALID
    assert venue.engine.registry.exchange_rules.discount_asset == "BNB"


def test_rules_that_do_not_fit_a_market_are_refused(venue: Venue) -> None:
    before = venue.book.market

    assert reason(venue.rule(maker_rate=-1)) is Reason.INVALID
    assert reason(venue.rule(market_lot=1)) is Reason.INVALID
    assert venue.book.market == before
