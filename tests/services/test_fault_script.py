"""Scripts of faults: what can be said in one, and what its rules decide."""

import re

import pytest

from exchange.services.fault_script import Fault, Faults, Rule, Script, ScriptFault, parse_script

PLACE = ("POST /api/v3/order", "order.place")


def faults(*rules: Rule, seed: int = 0) -> Faults:
    return Faults(Script(seed=seed, rule=list(rules)))


def met(found: Faults, times: int, key: str = "k", account: str = "a") -> list[Fault | None]:
    """What so many requests for an order meet."""
    rules = [found.of_request(PLACE, key, account, can_be_filled=True) for _ in range(times)]
    return [None if rule is None else rule.kind for rule in rules]


# --- What can be said -----------------------------------------------------------------------------


def test_a_script_is_toml_or_json() -> None:
    toml = b'seed = 7\n[[rule]]\nfault = -1007\non = "order.place"\nexecuted = true\n'
    json = b'{"seed": 7, "rule": [{"fault": -1007, "on": "order.place", "executed": true}]}'

    script = parse_script(toml, is_toml=True)

    assert script == parse_script(json, is_toml=False)
    assert (script.seed, script.rule[0].kind) == (7, Fault.TIMEOUT)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ('fault = "flood"', "asks for the fault 'flood'; there are 429, 418"),
        ('fault = 429\nwhen = "now"', "unknown field `when`"),
        ("on = 'x'", "missing required field `fault`"),
        ("fault = 429\nexecuted = true", "has `executed`, which means nothing with 429"),
        ('fault = "skew"', "lacks `milliseconds`"),
        ('fault = "delay"\nmilliseconds = -1', "has negative `milliseconds`"),
        ('fault = "skew"\nmilliseconds = 99999999999', "more `milliseconds` than a day"),
        ('fault = "skew"\nmilliseconds = 9\nprobability = 0.5', "a clock that is wrong by chance"),
        ("fault = 429\nprobability = 0", "not above 0"),
        ("fault = 429\nafter = -1", "negative `after`"),
        ("fault = 429\ncount = 0", "`count` below one"),
        ("fault = 429\nretry_after = 0", "`retry_after` below one"),
        ('fault = "partial-fill"\nshare = 1', "a `share` not between 0 and 1"),
        ("fault = 429\non = []", "is `on` nothing"),
        ('fault = 429\nkey = "k"\naccount = "a"', "names a key and an account"),
        ('fault = 429\non = "streams"', "is about sockets: they drop or stall"),
        ('fault = "drop"\non = ["streams", "order.place"]', "mixes sockets and requests"),
        ('fault = "drop"\non = "streams"\naccount = "a"', "known by their `key` alone"),
        ('fault = "stall"\non = "ws-api"\nmilliseconds = 1', "means nothing with stall"),
        ('fault = "drop"\non = "ws-api"\nstream = "x"', "names a stream"),
        ("fault 429", "cannot be read"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(rule: str, sentence: str) -> None:
    with pytest.raises(ScriptFault, match=re.escape(sentence)):
        parse_script(f"[[rule]]\n{rule}\n".encode(), is_toml=True)


# --- What is decided ------------------------------------------------------------------------------


def test_the_first_are_spared_and_then_so_many_are_not() -> None:
    found = faults(Rule(fault=429, after=2, count=3))

    assert met(found, 7) == [None, None, *[Fault.TOO_MUCH_WEIGHT] * 3, None, None]
    assert found.acted == [3]


def test_the_first_rule_that_acts_is_what_happens() -> None:
    found = faults(Rule(fault=418, count=1), Rule(fault="drop", after=1))

    assert met(found, 3) == [Fault.BANNED, None, Fault.DROP]


def test_the_same_seed_decides_the_same_and_another_does_not() -> None:
    rule = Rule(fault=-1007, probability=0.5)

    first = met(faults(rule, seed=1), 200)

    assert met(faults(rule, seed=1), 200) == first
    assert met(faults(rule, seed=2), 200) != first
    assert 50 < first.count(Fault.TIMEOUT) < 150


def test_two_rules_of_one_script_do_not_decide_alike() -> None:
    rule = Rule(fault=429, probability=0.5)
    first, second = faults(rule), faults(Rule(fault=418, on="nothing/like/it"), rule)

    assert met(first, 100) != met(second, 100)


def test_a_rule_is_about_a_key_or_an_account_or_everybody() -> None:
    assert met(faults(Rule(fault=429, key="k")), 1, key="other") == [None]
    assert met(faults(Rule(fault=429, key="k")), 1) == [Fault.TOO_MUCH_WEIGHT]
    assert met(faults(Rule(fault=429, account="a")), 1, account="b") == [None]
    assert met(faults(Rule(fault=429, account="a")), 1) == [Fault.TOO_MUCH_WEIGHT]
    assert met(faults(Rule(fault=429)), 1, key="", account="") == [Fault.TOO_MUCH_WEIGHT]


def test_others_do_not_use_up_what_a_rule_is_about() -> None:
    found = faults(Rule(fault=429, key="k", after=1, count=1))

    assert met(found, 5, key="other") == [None] * 5
    assert met(found, 3) == [None, Fault.TOO_MUCH_WEIGHT, None]


@pytest.mark.parametrize("on", ["order.place", "POST /api/v3/order", "* /api/v3/order", "*"])
def test_either_name_means_the_endpoint(on: str) -> None:
    assert met(faults(Rule(fault=429, on=[on, "x"])), 1) == [Fault.TOO_MUCH_WEIGHT]


def test_a_name_of_something_else_does_not() -> None:
    assert met(faults(Rule(fault=429, on="DELETE /api/v3/order")), 1) == [None]


def test_only_a_limit_order_can_be_filled_and_nothing_else_counts() -> None:
    found = faults(Rule(fault="partial-fill", count=1))

    assert found.of_request(PLACE, "", "", can_be_filled=False) is None
    assert met(found, 2) == [Fault.PARTIAL_FILL, None]


def test_a_wrong_clock_counts_those_who_are_judged_by_it_only() -> None:
    found = faults(Rule(fault="skew", milliseconds=-5_000, after=1, count=1))

    def skew(*, counts: bool) -> int:
        return found.skew_us(PLACE, "k", "a", counts=counts)

    assert [skew(counts=False), skew(counts=True)] == [0, 0]
    assert [skew(counts=False), skew(counts=False), skew(counts=True)] == [-5_000_000] * 3
    assert [skew(counts=False), skew(counts=True)] == [0, 0]
    assert met(found, 1) == [None]


# --- Sockets --------------------------------------------------------------------------------------


def test_a_connection_breaks_after_so_many_of_its_own_messages() -> None:
    found = faults(Rule(fault="drop", on="streams", after=2))

    for _ in range(2):
        line = found.of_socket("streams")
        assert [line.fault() for _ in range(3)] == [None, None, Fault.DROP]


def test_so_many_connections_break_and_the_next_ones_do_not() -> None:
    found = faults(Rule(fault="stall", on="streams", count=1))

    first, second = found.of_socket("streams"), found.of_socket("streams")

    assert first.fault() is Fault.STALL
    assert [second.fault() for _ in range(3)] == [None] * 3


def test_a_rule_decides_once_about_a_connection() -> None:
    found = faults(Rule(fault="drop", on="streams", probability=0.5), seed=3)

    lines = [found.of_socket("streams") for _ in range(100)]
    first = [line.fault() for line in lines]
    later = [line.fault() for line, fault in zip(lines, first, strict=True) if fault is None]

    assert 20 < first.count(Fault.DROP) < 80
    assert set(later) == {None}


def test_a_connection_is_about_the_keys_and_streams_that_it_has_named() -> None:
    found = faults(
        Rule(fault="drop", on="streams", key="k"),
        Rule(fault="stall", on="streams", stream="*@trade"),
    )

    line = found.of_socket("streams")
    assert line.fault(["other"], ["btcusdt@depth"]) is None
    assert line.fault(["other"], ["btcusdt@trade"]) is Fault.STALL
    assert found.of_socket("streams").fault(["k"]) is Fault.DROP
    assert found.of_socket("ws-api").fault(["k"], ["btcusdt@trade"]) is None
