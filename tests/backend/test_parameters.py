"""Reading parameters: whatever bytes come, there is a value or an error of the API."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.backend import parameters
from exchange.backend.application import ENDPOINTS
from exchange.backend.endpoints import Endpoint
from exchange.backend.errors import ApiError
from exchange.backend.parameters import (
    Parameter,
    Table,
    choice_parameter,
    decimal_parameter,
    flag_parameter,
    integer_parameter,
    limit_parameter,
    parse,
    read_end_time,
    read_receive_window,
    read_time,
)


def code_of(read: object, *arguments: object) -> int:
    with pytest.raises(ApiError) as caught:
        read(*arguments)  # type: ignore[operator]
    return caught.value.code


def test_query_and_body_are_one_set_in_which_the_query_wins() -> None:
    sent = parse(b"symbol=SOLUSDC&side=BUY", b"side=SELL&price=1")

    assert sent.values == {"symbol": "SOLUSDC", "side": "BUY", "price": "1"}


@pytest.mark.parametrize(
    ("query", "body", "payload"),
    [
        (b"a=1&signature=x", b"", b"a=1"),
        (b"signature=x&a=1", b"", b"a=1"),
        (b"a=1&signature=x&b=2", b"", b"a=1&b=2"),
        (b"a=1", b"b=2&signature=x", b"a=1b=2"),
        (b"", b"signature=x&b=%2B2", b"b=%2B2"),
        (b"a=1&signature=x", b"b=2", b"a=1b=2"),
        (b"a=1&&b=2&signature=x", b"", b"a=1&&b=2"),
        (b"signature=x", b"", b""),
    ],
)
def test_what_is_signed_is_query_and_body_without_the_signature(
    query: bytes, body: bytes, payload: bytes
) -> None:
    sent = parse(query, body)

    assert sent.payload == payload
    assert sent.signature == "x"


def test_values_are_decoded_only_where_something_is_encoded() -> None:
    sent = parse(b"a=%5B%22X%22%5D&b=one+two&c=plain", b"")

    assert sent.values == {"a": '["X"]', "b": "one two", "c": "plain"}


def test_a_plus_in_a_signature_stays_a_plus() -> None:
    assert parse(b"signature=ab+c%2Fd%3D", b"").signature == "ab+c/d="


@pytest.mark.parametrize(
    "query", [b"a=1&a=1", b"a=1&%61=2", b"signature=x&signature=x", b"a&a=1", b"=1&=2"]
)
def test_a_name_that_comes_twice_is_refused(query: bytes) -> None:
    assert code_of(parse, query, b"") == -1101


@pytest.mark.parametrize("text", ["1", "0", "00012.5", "1.12345678901234567890"])
def test_plain_decimals_are_taken_as_they_are(text: str) -> None:
    assert decimal_parameter("price").read("price", text) == text


@pytest.mark.parametrize(
    "text",
    [
        "-1", "+1", "1e5", "NaN", "inf", "Infinity", "1,5", "1.", ".5", "1 ", " 1", "1_000", "0x10",
        "١٢٣", "１２", "1.2.3", "123456789012345678901", "1\n", "\x00", "½",
    ],
)  # fmt: skip
def test_anything_else_than_digits_and_a_point_is_illegal_in_a_decimal(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        decimal_parameter("price").read("price", text)

    assert (caught.value.code, caught.value.message) == (
        -1100,
        "Illegal characters found in parameter 'price'; legal range is"
        r" '^([0-9]{1,20})(\.[0-9]{1,20})?$'.",
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [("-1", -1100), ("1.0", -1100), ("x", -1100), ("٣", -1100), (str(2**63), -1108)],
)
def test_an_integer_is_digits_of_64_bits(text: str, code: int) -> None:
    assert code_of(integer_parameter("orderId").read, "orderId", text) == code


def test_a_limit_is_cut_and_never_zero() -> None:
    limit = limit_parameter(100, 5_000)

    assert limit.read("limit", "7") == 7
    assert limit.read("limit", "999999") == 5_000
    assert code_of(limit.read, "limit", "0") == -1130


def test_times_are_milliseconds_or_microseconds() -> None:
    assert read_time("startTime", "1700000000123") == 1_700_000_000_123_000
    assert read_time("startTime", "1700000000123456") == 1_700_000_000_123_456


def test_a_last_millisecond_is_meant_to_its_end() -> None:
    assert read_end_time("endTime", "1700000000123") == 1_700_000_000_123_999
    assert read_end_time("endTime", "1700000000123456") == 1_700_000_000_123_456


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [("5000", 5_000_000), ("60000", 60_000_000), ("0.5", 500), ("1.234", 1_234), ("0", 0)],
)
def test_a_receive_window_has_up_to_three_decimals(text: str, microseconds: int) -> None:
    assert read_receive_window("recvWindow", text) == microseconds


@pytest.mark.parametrize(
    ("text", "code"),
    [("60000.001", -1102), ("60001", -1102), ("1.2345", -1100), ("-1", -1100), ("1e3", -1100)],
)
def test_a_receive_window_out_of_bounds_is_refused(text: str, code: int) -> None:
    assert code_of(read_receive_window, "recvWindow", text) == code


def test_a_flag_is_true_or_false() -> None:
    flag = flag_parameter("omit", "")

    assert flag.read("omit", "true") is True
    assert flag.read("omit", "false") is False
    assert code_of(flag.read, "omit", "True") == -1100


@pytest.mark.parametrize(
    ("text", "code"),
    [("SOLUSDC", -1100), ("[1]", -1100), ('["sol"]', -1100), ("[", -1100), ('["A",]', -1100)],
)
def test_a_list_is_json_of_legal_items(text: str, code: int) -> None:
    assert code_of(parameters.SYMBOLS.read, "symbols", text) == code


TABLE = Table(
    (
        parameters.SYMBOL.required(),
        choice_parameter("side", {"BUY": 1}),
        limit_parameter(1, 10),
    )
)


@pytest.mark.parametrize(
    ("sent", "code", "text"),
    [
        (
            {},
            -1102,
            "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
        ),
        (
            {"symbol": ""},
            -1102,
            "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
        ),
        ({"symbol": "X", "side": ""}, -1105, "Parameter 'side' was empty."),
        ({"symbol": "X", "side": "buy"}, -1130, "Data sent for parameter 'side' is not valid."),
        (
            {"symbol": "X", "limit": "1", "other": "1"},
            -1104,
            "Not all sent parameters were read; read '2' parameter(s) but was sent '3'.",
        ),
        (
            {"symbol": "solusdc"},
            -1100,
            "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'.",
        ),
    ],
)
def test_a_table_refuses_what_it_does_not_take(sent: dict[str, str], code: int, text: str) -> None:
    with pytest.raises(ApiError) as caught:
        TABLE.read(sent)

    assert (caught.value.code, caught.value.message) == (code, text)


def test_a_table_gives_values_by_their_parameter() -> None:
    limit = TABLE.parameters[2]

    values = TABLE.read({"symbol": "SOLUSDC", "limit": "99"})

    assert values[parameters.SYMBOL] == "SOLUSDC"
    assert values[limit] == 10
    assert values.get(parameters.ORDER_ID) is None
    assert parameters.ORDER_ID not in values


@given(query=st.binary(max_size=200), body=st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(query: bytes, body: bytes) -> None:
    try:
        sent = parse(query, body)
    except ApiError as refusal:
        assert refusal.code == -1101
    else:
        assert len(sent.payload) <= len(query) + len(body)


_ALL = [(endpoint, one) for endpoint in ENDPOINTS for one in endpoint.table.parameters]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_every_parameter_says_what_it_is_in_a_sentence(endpoint: Endpoint) -> None:
    silent = [one.name for one in endpoint.table.parameters if not one.description.endswith(".")]

    assert silent == []


_PIECES = st.lists(
    st.sampled_from(
        ["1", "0", ".", "-", '"', "[", "]", ",", "A", "true", "1700000000000", "٣", ":"]
    )
).map("".join)


@given(
    case=st.sampled_from(_ALL),
    text=st.one_of(st.text(max_size=60), _PIECES, st.from_regex(r"[0-9]{1,25}", fullmatch=True)),
)
def test_any_text_is_a_value_or_an_error_of_the_api(
    case: tuple[Endpoint, Parameter[object]], text: str
) -> None:
    endpoint, parameter = case
    try:
        endpoint.table.read({parameter.name: text})
    except ApiError as refusal:
        assert refusal.status == 400
        assert refusal.code < -1000
