"""Where a request really comes from when proxies stand in front of a server."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

from exchange.services.settings import InvalidSettings

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

HEADER = b"x-forwarded-for"
"""The header in which each proxy adds, at its end, whom it was asked by."""


class Proxies:
    """The proxies whose word counts; everybody else may write into that header what he likes."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)

    @classmethod
    def parse(cls, text: str) -> "Proxies":
        """Addresses and networks with commas between them; raises InvalidSettings."""
        try:
            return cls(
                ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip()
            )
        except ValueError as fault:
            raise InvalidSettings(f"TRUSTED_PROXIES: {fault}") from None

    def client(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Whose request it is: the last one named that is no proxy of ours.

        `peer` is who has connected. Header names are of any case.
        """
        if not self._networks or not self.trusts(peer):
            return peer
        for name in reversed(_named(headers)):
            address = _address(name)
            if address is None:
                # Who wrote that is a proxy of ours, and is all we know.
                return peer
            peer = str(address)
            if not self.trusts(peer):
                break
        return peer

    def trusts(self, text: str) -> bool:
        """Whether this address is one of theirs."""
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)


def _named(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """In the order in which they were added; the header may come several times."""
    return [
        name
        for header, value in headers
        if header.lower() == HEADER
        for name in value.decode("latin-1").split(",")
    ]


@lru_cache(10_000)
def _address(text: str) -> Address | None:
    """With or without a port; an IPv4 address in the clothes of IPv6 is the IPv4 address."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
