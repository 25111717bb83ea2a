"""The public side of a backend put together: the API, and what the trading page needs beside it."""

from starlette.types import ASGIApp

from exchange.backend.application import Application
from exchange.backend.browsers import Browsers
from exchange.backend.members import Members
from exchange.backend.operator import Operator
from exchange.backend.page import Page
from exchange.backend.passwords import Passwords
from exchange.backend.request_limits import RequestLimits
from exchange.backend.state import Current
from exchange.backend.ui import api_keys, config, funds, sign_in
from exchange.backend.ui.site import Site
from exchange.backend.ui.test_funds import TestFunds
from exchange.backend.vault import Vault
from exchange.services.settings import Settings


def public_application(settings: Settings, current: Current, vault: Vault) -> ASGIApp:
    """Raises InvalidSettings."""
    members = Members(current, vault, Passwords(settings.password_memory_kib))
    browsers = Browsers(members)
    operator = Operator(current, vault)
    test_funds = TestFunds.from_setting(settings.test_funds)
    is_open = settings.registration == "open"
    routers = [
        config.routes(
            current, stream_url=settings.public_ws_url, is_open=is_open, test_funds=test_funds
        ),
        sign_in.routes(members, is_open=is_open),
        api_keys.routes(current, operator),
        funds.routes(current, operator, test_funds),
    ]

    def site(limits: RequestLimits) -> Site:
        return Site(current, limits, browsers, routers)

    return Application(current, browsers, site, Page(settings.public_ws_url))
