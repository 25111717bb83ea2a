"""Who may do what, and in which order a request is doubted."""

import hashlib
import hmac

import pytest

from exchange.backend.authentication import authenticate, identify, vouch
from exchange.backend.directory import Directory
from exchange.backend.errors import ApiError
from exchange.backend.parameters import parse
from exchange.backend.vault import Vault
from exchange.services.messages import Done, Outcome, Result
from exchange.services.rows import Key, KeyKind, Row

API_KEY, SECRET = "K" * 64, b"S" * 64
NOW = 1_700_000_000_000_000


@pytest.fixture
def vault() -> Vault:
    return Vault(b"m" * 32)


@pytest.fixture
def key(vault: Vault) -> Key:
    return Key(
        api_key=API_KEY,
        account=7,
        kind=KeyKind.HMAC,
        secret=vault.seal(API_KEY, SECRET),
        can_trade=True,
        created=1,
    )


@pytest.fixture
def directory(vault: Vault, key: Key) -> Directory:
    return Directory(vault, [key])


def signed(text: str) -> bytes:
    signature = hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest()
    return f"{text}&signature={signature}".encode()


def refusal(query: bytes, directory: Directory, api_key: str = API_KEY) -> tuple[int, str]:
    with pytest.raises(ApiError) as caught:
        authenticate(parse(query, b""), api_key, directory, NOW)
    assert caught.value.status == (401 if caught.value.code in (-2014, -2015) else 400)
    return caught.value.code, caught.value.message


def test_a_right_request_is_known_by_key_name_and_deadline(directory: Directory) -> None:
    sent = parse(signed("symbol=X&recvWindow=3000&timestamp=1700000000000"), b"")

    found = authenticate(sent, API_KEY, directory, NOW)

    assert found.key.account == 7
    assert found.deadline == NOW + 3_000_000
    assert found.request is not None
    assert len(found.request) == 16
    assert sent.values == {"symbol": "X"}


@pytest.mark.parametrize(
    ("timestamp", "window"),
    [
        ("1700000000999", "5000"),
        ("1700000000999999", "5000"),
        ("1699999995000", None),
        ("1699999940000", "60000"),
        ("1699999999999999", "0.001"),
    ],
)
def test_the_window_is_closed_behind_and_open_ahead(
    directory: Directory, timestamp: str, window: str | None
) -> None:
    text = f"timestamp={timestamp}" + (f"&recvWindow={window}" if window else "")

    assert authenticate(parse(signed(text), b""), API_KEY, directory, NOW).key.name == API_KEY


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "timestamp=1699999994999",
            -1021,
            "Timestamp for this request is outside of the recvWindow.",
        ),
        (
            "timestamp=1700000001000",
            -1021,
            "Timestamp for this request was 1000ms ahead of the server's time.",
        ),
        ("timestamp=0", -1021, "Timestamp for this request is outside of the recvWindow."),
        (
            "symbol=X",
            -1102,
            "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.",
        ),
        (
            "timestamp=1700000000000&recvWindow=60001",
            -1102,
            "'recvWindow' contains unexpected value. Cannot be greater than '60000'.",
        ),
        (
            "timestamp=17e11",
            -1100,
            "Illegal characters found in parameter 'timestamp'; legal range is '^[0-9]{1,20}$'.",
        ),
    ],
)
def test_time_and_what_is_missing_have_their_texts(
    directory: Directory, text: str, code: int, message: str
) -> None:
    assert refusal(signed(text), directory) == (code, message)


def test_a_missing_signature_is_said_before_it_is_looked_at(directory: Directory) -> None:
    assert refusal(b"timestamp=1700000000000", directory)[0] == -1102
    assert refusal(b"timestamp=1700000000000&signature=", directory)[0] == -1102


def test_the_signature_is_checked_before_the_time(directory: Directory) -> None:
    wrong = refusal(b"timestamp=1&signature=" + b"0" * 64, directory)

    assert wrong == (-1022, "Signature for this request is not valid.")


@pytest.mark.parametrize(
    "api_key", ["", "short", "K" * 63, "K" * 65, "K" * 63 + "-", "K" * 63 + "é"]
)
def test_a_malformed_key_is_said_first(directory: Directory, api_key: str) -> None:
    assert refusal(b"", directory, api_key) == (-2014, "API-key format invalid.")


def test_an_unknown_key_is_refused(directory: Directory) -> None:
    found = refusal(signed("timestamp=1700000000000"), directory, "U" * 64)

    assert found == (-2015, "Invalid API-key, IP, or permissions for action.")


def test_a_key_is_refused_from_the_outcome_on_that_revokes_it(
    directory: Directory, key: Key
) -> None:
    revoked = Key(
        api_key=key.api_key,
        account=key.account,
        kind=key.kind,
        secret=key.secret,
        can_trade=key.can_trade,
        created=key.created,
        revoked=NOW,
    )

    directory.apply(outcome(revoked))

    assert refusal(signed("timestamp=1700000000000"), directory)[0] == -2015


def outcome(*rows: Row) -> Outcome:
    result: Result = Done()
    return Outcome(number=1, time=NOW, uid=1, request=None, deadline=0, result=result, rows=rows)


def test_a_session_vouches_for_a_request_that_is_never_a_repeat(directory: Directory) -> None:
    key = directory.keys[API_KEY]
    text = b"symbol=X&recvWindow=3000&timestamp=1700000000000"

    first, second = (vouch(parse(text, b""), key, NOW) for _ in range(2))

    assert first.request is second.request is None
    assert first.seed != second.seed
    assert (first.key, first.deadline) == (key, NOW + 3_000_000)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"symbol=X", -1102),
        (b"timestamp=x", -1100),
        (b"timestamp=1600000000000", -1021),
        (b"timestamp=1700000002000", -1021),
        (b"timestamp=1700000000000&recvWindow=60001", -1102),
    ],
)
def test_a_session_does_not_vouch_for_the_time(
    directory: Directory, text: bytes, code: int
) -> None:
    with pytest.raises(ApiError) as caught:
        vouch(parse(text, b""), directory.keys[API_KEY], NOW)

    assert caught.value.code == code


@pytest.mark.parametrize(("api_key", "code"), [("", -2014), ("x", -2014), ("x" * 64, -2015)])
def test_who_only_names_a_key_must_name_a_valid_one(
    directory: Directory, api_key: str, code: int
) -> None:
    with pytest.raises(ApiError) as caught:
        identify(api_key, directory, NOW)

    assert identify(API_KEY, directory, NOW).key.account == 7
    assert caught.value.code == code
