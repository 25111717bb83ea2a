"""Whose request it is when proxies stand in front, and when somebody only says so."""

import pytest

from exchange.services.proxies import Proxies
from exchange.services.settings import InvalidSettings

OURS = Proxies.parse("10.0.0.0/8, 192.0.2.7,2001:db8::/32")
NONE = Proxies.parse("")


def client(proxies: Proxies, peer: str, *forwarded: str) -> str:
    return proxies.client(peer, [(b"X-Forwarded-For", one.encode()) for one in forwarded])


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("192.0.2.7", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8::1", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        # Several of ours in a row.
        ("10.1.2.3", ["203.0.113.9, 10.0.0.1"], "203.0.113.9"),
        ("10.1.2.3", ["203.0.113.9", "10.0.0.1"], "203.0.113.9"),
        # The client has written the first part itself.
        ("10.1.2.3", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["10.0.0.1, 203.0.113.9, 10.0.0.1"], "203.0.113.9"),
        # Ports and brackets, as some proxies write them.
        ("10.1.2.3", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.1.2.3", ["[2001:470::1]:4711"], "2001:470::1"),
        ("10.1.2.3", ["2001:470::1"], "2001:470::1"),
        # All are ours: the outermost has asked for itself.
        ("10.1.2.3", ["10.0.0.2, 10.0.0.1"], "10.0.0.2"),
        ("10.1.2.3", [], "10.1.2.3"),
    ],
)
def test_a_trusted_proxy_says_whose_request_it_is(
    peer: str, forwarded: list[str], expected: str
) -> None:
    assert client(OURS, peer, *forwarded) == expected


@pytest.mark.parametrize("proxies", [NONE, OURS])
def test_nobody_else_is_believed(proxies: Proxies) -> None:
    assert client(proxies, "203.0.113.9", "198.51.100.1") == "203.0.113.9"


def test_without_proxies_not_even_a_neighbour_is_believed() -> None:
    assert client(NONE, "127.0.0.1", "198.51.100.1") == "127.0.0.1"


@pytest.mark.parametrize("text", ["unknown", "", "203.0.113.9.1", "_hidden"])
def test_what_is_no_address_counts_for_the_proxy_that_wrote_it(text: str) -> None:
    assert client(OURS, "10.1.2.3", text) == "10.1.2.3"
    assert client(OURS, "10.1.2.3", f"{text}, 10.0.0.1") == "10.0.0.1"


def test_a_socket_without_an_address_is_nobodys_proxy() -> None:
    assert client(OURS, "", "198.51.100.1") == ""


@pytest.mark.parametrize("text", ["10.0.0.0/33", "proxy.example.org", "10.0.0.1/8"])
def test_what_is_no_network_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidSettings, match="TRUSTED_PROXIES"):
        Proxies.parse(text)
