"""The public side of a backend put together: the API, and what the trading page needs beside it."""

from functools import partial

from exchange.backend import control
from exchange.backend.application import ENDPOINTS, Application
from exchange.backend.browsers import Browsers
from exchange.backend.faults.requests import FaultyEndpoints, FaultyVisit
from exchange.backend.members import Members
from exchange.backend.operator import Operator
from exchange.backend.page import Page
from exchange.backend.request_limits import RequestLimits
from exchange.backend.state import Current
from exchange.backend.ui import api_keys, config, funds, sign_in
from exchange.backend.ui.site import Site
from exchange.backend.ui.test_funds import TestFunds
from exchange.services.fault_file import FaultFile
from exchange.services.process import Health
from exchange.services.settings import Settings

ADMIN_PATH = "/ui/admin"


def public_application(
    settings: Settings,
    current: Current,
    members: Members,
    operator: Operator,
    health: Health,
    faults: FaultFile | None = None,
) -> Application:
    """Its requests meet `faults`, if there may be any. Raises InvalidSettings."""
    browsers = Browsers(members)
    test_funds = TestFunds.from_setting(settings.test_funds)
    is_open = settings.registration == "open"
    routers = [
        config.routes(
            current, stream_url=settings.public_ws_url, is_open=is_open, test_funds=test_funds
        ),
        sign_in.routes(members, is_open=is_open),
        api_keys.routes(current, operator),
        funds.routes(current, operator, members, test_funds),
        control.routes(ADMIN_PATH, current, health),
        control.page_routes(ADMIN_PATH),
    ]

    def site(limits: RequestLimits) -> Site:
        return Site(current, limits, browsers, operator, routers)

    page = Page(settings.public_ws_url)
    if faults is None:
        return Application(current, browsers, site, page)
    return Application(
        current,
        browsers,
        site,
        page,
        endpoints=FaultyEndpoints(faults, operator).made_of(ENDPOINTS),
        visit=partial(FaultyVisit, file=faults),
    )
