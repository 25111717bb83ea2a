"""An exchange of one's own: what it says when it does not come up.

That it comes up, ends, and comes up again is used all over tests/system.
"""

import socket
from pathlib import Path

import pytest

from exchange.services.own_exchange import NotStarted, OwnExchange


def test_one_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    one = OwnExchange(tmp_path / "data")
    with socket.socket() as taker:
        taker.bind(("127.0.0.1", one.api_port))
        taker.listen()

        with pytest.raises(NotStarted, match=f"Port {one.api_port} is taken"):
            one.start()

    assert one.launcher is not None
    assert one.launcher.returncode == 1
