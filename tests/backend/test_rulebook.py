"""Rules as operators write them: every one can be read back, and nonsense is explained."""

import re
from pathlib import Path
from typing import Any

import pytest

from exchange.backend.rulebook import BadRule, Rulebook, read_rate, written_rate, written_tiers
from exchange.services.markets import (
    DEFAULT_RULES,
    Asset,
    ExchangeRules,
    Feature,
    Rules,
    Tier,
)
from exchange.services.orders import OrderType, SelfTrade

ASSETS = {
    name: Asset(name, decimals)
    for name, decimals in (("SOL", 3), ("JPY", 0), ("BTC", 8), ("USDC", 8))
}
MARKET = Rulebook(ASSETS, ASSETS["SOL"])
EXCHANGE = Rulebook(ASSETS)
EVERYTHING = Rules(
    order_types=(OrderType.LIMIT, OrderType.MARKET),
    features=(Feature.AMEND,),
    self_trade_modes=(SelfTrade.NONE, SelfTrade.DECREMENT),
    self_trade_default=SelfTrade.DECREMENT,
    price_up=1_300_000,
    price_down=700_000,
    bid_up=1,
    bid_down=2,
    ask_up=3,
    ask_down=4,
    range_bid_up=5,
    range_bid_down=6,
    range_ask_up=7,
    range_ask_down=8,
    market_quantity_min=9,
    market_quantity_max=10_000,
    market_lot=11,
    notional_min_for_market=False,
    notional_max_for_market=True,
    trailing_above_min=12,
    trailing_above_max=13,
    trailing_below_min=14,
    trailing_below_max=15,
    iceberg_parts=16,
    orders_max=17,
    algo_orders_max=18,
    iceberg_orders_max=19,
    order_lists_max=20,
    amends_max=21,
    position_max=22,
    fee_discount=False,
)
EVERYWHERE = ExchangeRules(
    orders_max=1,
    algo_orders_max=2,
    iceberg_orders_max=3,
    order_lists_max=4,
    assets_max={"JPY": 5, "SOL": 6},
    discount_asset="BTC",
    discount=750_000,
)


def as_set(value: Any) -> str:
    """A rule's value as `--set` takes it."""
    match value:
        case bool():
            return "on" if value else "off"
        case list():
            return ",".join(value)
        case dict():
            return ",".join(f"{name}:{amount}" for name, amount in value.items())
    return str(value)


@pytest.mark.parametrize("rules", [Rules(), DEFAULT_RULES, EVERYTHING])
def test_the_rules_of_a_market_are_read_as_they_are_written(rules: Rules) -> None:
    written = {name: as_set(value) for name, value in MARKET.written(rules).items()}

    assert MARKET.changed(Rules(), written) == rules
    assert MARKET.changed(EVERYTHING, written) == rules


@pytest.mark.parametrize("rules", [ExchangeRules(), EVERYWHERE])
def test_the_rules_of_the_exchange_are_read_as_they_are_written(rules: ExchangeRules) -> None:
    written = {name: as_set(value) for name, value in EXCHANGE.written(rules).items()}

    assert EXCHANGE.changed(ExchangeRules(), written) == rules
    assert EXCHANGE.changed(EVERYWHERE, written) == rules


def test_every_rule_has_a_name_and_a_value_that_people_read() -> None:
    written = MARKET.written(EVERYTHING)

    assert written.keys() == set(Rules.__struct_fields__) - {"tiers"}
    # A freeze is no rule, but a state.
    assert EXCHANGE.written(EVERYWHERE).keys() == set(ExchangeRules.__struct_fields__) - {
        "withdrawals_frozen"
    }
    assert written["order_types"] == ["LIMIT", "MARKET"]
    assert written["price_up"] == "1.3"
    assert written["bid_up"] == "0.000001"
    assert written["market_quantity_max"] == "10"
    assert written["market_lot"] == "0.011"
    assert written["orders_max"] == 17
    assert written["fee_discount"] is False
    assert EXCHANGE.written(EVERYWHERE)["assets_max"] == {"JPY": "5", "SOL": "0.006"}
    assert EXCHANGE.written(EVERYWHERE)["discount"] == "0.75"


def test_what_is_not_named_stays() -> None:
    changed = MARKET.changed(EVERYTHING, {"price_up": "5"})

    assert changed.price_up == 5_000_000
    assert MARKET.changed(changed, {"price_up": "1.3"}) == EVERYTHING


def test_words_are_kept_in_their_own_order_and_once() -> None:
    changed = MARKET.changed(EVERYTHING, {"order_types": "MARKET,LIMIT,MARKET", "features": ""})

    assert changed.order_types == (OrderType.LIMIT, OrderType.MARKET)
    assert changed.features == ()


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"prize_up": "1"}, "There is no rule prize_up; did you mean price_up?"),
        ({"nonsense": "1"}, "There is no rule nonsense."),
        ({"tiers": ""}, "There is no rule tiers"),
        ({"__class__": ""}, "There is no rule __class__."),
        ({"price_up": "-1"}, "price_up must be a plain decimal number, such as 1.5."),
        ({"price_up": ""}, "price_up must be a plain decimal number, such as 1.5."),
        ({"price_up": "1e3"}, "price_up must be a plain decimal number, such as 1.5."),
        ({"price_up": "1.0000001"}, "price_up has more than 6 decimals."),
        ({"market_lot": "0.0001"}, "market_lot has more than 3 decimals."),
        ({"orders_max": "1.5"}, "orders_max must be a whole number"),
        ({"orders_max": "-1"}, "orders_max must be a whole number"),
        ({"orders_max": "٣"}, "orders_max must be a whole number"),
        ({"orders_max": "9" * 21}, "orders_max must be a whole number"),
        ({"fee_discount": "perhaps"}, "fee_discount must be on or off."),
        ({"features": "ICEBERG,TELEPATHY"}, "features knows ICEBERG, TRAILING, "),
        ({"self_trade_default": "none"}, "self_trade_default knows NONE, EXPIRE_TAKER, "),
        ({"self_trade_default": ""}, "and not ''."),
    ],
)
def test_a_bad_rule_is_explained_in_a_sentence(wish: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadRule) as fault:
        MARKET.changed(EVERYTHING, {"orders_max": "3", **wish})

    assert sentence in str(fault.value)
    assert str(fault.value)[-1] in ".?"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("USD:1", "there is no asset USD;"),
        ("SOL", "assets_max of SOL must be a plain decimal number"),
        ("SOL:1,,BTC:1", "there is no asset ;"),
        ("JPY:0.5", "assets_max of JPY has more than 0 decimals."),
    ],
)
def test_a_bad_amount_of_an_asset_is_explained(text: str, sentence: str) -> None:
    with pytest.raises(BadRule) as fault:
        EXCHANGE.changed(EVERYWHERE, {"assets_max": text})

    assert sentence in str(fault.value)


def test_the_exchange_does_not_know_the_rules_of_markets() -> None:
    with pytest.raises(BadRule):
        EXCHANGE.changed(EVERYWHERE, {"price_up": "1"})


def test_rates_are_decimals_with_six_digits() -> None:
    assert read_rate("maker", "0.001") == 1_000
    assert (written_rate(1_000), written_rate(0), written_rate(1)) == ("0.001", "0", "0.000001")
    assert written_tiers((Tier(tier=7, maker_rate=0, taker_rate=500),)) == [
        {"tier": 7, "maker": "0", "taker": "0.0005"}
    ]
    with pytest.raises(BadRule):
        read_rate("maker", "0.0000001")


GUIDE = (Path(__file__).parents[2] / "docs/market-rules.md").read_text("utf-8")
SECTIONS = {part.partition("\n")[0].split(":")[0]: part for part in GUIDE.split("\n## ")}


@pytest.mark.parametrize(
    ("section", "rules", "elsewhere"),
    [
        ("Rules of a market", Rules(), {"fee_discount", "tiers"}),
        ("Rules over all markets", ExchangeRules(), {"withdrawals_frozen"}),
    ],
)
def test_the_operators_guide_has_a_row_for_every_rule(
    section: str, rules: Rules | ExchangeRules, elsewhere: set[str]
) -> None:
    columns = re.findall(r"^\| (`.*?) \|", SECTIONS[section], re.MULTILINE)

    names = [name.strip("`") for column in columns for name in column.split(", ")]

    assert sorted(names) == sorted(set(rules.__struct_fields__) - elsewhere)
    assert all(name in SECTIONS["Fees"] for name in ("fee_discount", "--tier"))


def test_the_examples_of_the_operators_guide_can_be_set() -> None:
    of_market = re.findall(r"`(\w+)=(\S*)` \|", SECTIONS["Rules of a market"])
    of_exchange = re.findall(r"`(\w+)=(\S*)` \|", SECTIONS["Rules over all markets"])
    for line in GUIDE.replace("\\\n", " ").splitlines():
        changes = re.findall(r"--set (\w+)=(\S*)", line)
        if line.startswith("exchange market"):
            of_market += changes
        elif line.startswith("exchange rules"):
            of_exchange += changes

    assert len(of_market) > 15
    assert len(of_exchange) > 5
    for name, text in of_market:
        MARKET.changed(Rules(), {name: text})
    for name, text in of_exchange:
        EXCHANGE.changed(ExchangeRules(), {name: text})
