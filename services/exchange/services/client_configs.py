"""What each trading client has to be told to come here, as text to copy: `exchange client-config`."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import typer

from exchange.services.options import Data
from exchange.services.run_file import default_folder, read_run

REST_DEFAULT = "http://127.0.0.1:8080"
STREAM_PORT = 4000
SOCKET_API_PATH = "/ws-api/v3"


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """Without a slash at the end; `socket_api` with its path."""

    rest: str
    streams: str
    socket_api: str


class Client(StrEnum):
    """The clients that are known to work."""

    ccxt = "ccxt"
    ccxt_pro = "ccxt.pro"
    freqtrade = "freqtrade"
    python_binance = "python-binance"
    sdk = "sdk"
    binance_connector = "binance-connector"
    unicorn = "unicorn"
    nautilus = "nautilus"
    hummingbot = "hummingbot"
    cryptofeed = "cryptofeed"


def client_config(
    client: Annotated[Client, typer.Argument(help="Which client.", show_default=False)],
    url: Annotated[
        str | None,
        typer.Option(
            help=f"Of the REST API. Default: of what runs in --data, else {REST_DEFAULT}."
        ),
    ] = None,
    ws_url: Annotated[
        str | None,
        typer.Option(help=f"Of the streams. Default: port {STREAM_PORT} of the same host."),
    ] = None,
    ws_api_url: Annotated[
        str | None,
        typer.Option(
            help=f"Of the WebSocket API. Default: the REST API's, with {SOCKET_API_PATH}."
        ),
    ] = None,
    data: Data = None,
) -> None:
    """Print what a trading client has to be told to trade here instead of on Binance.

    Example: exchange client-config ccxt --url https://api.example.org --ws-url wss://ws.example.org
    """
    print(snippet(client, addresses(url, ws_url, ws_api_url, data)), end="")


def addresses(
    rest: str | None, streams: str | None, socket_api: str | None, folder: Path | None
) -> Addresses:
    """Those that are given; the others belong to the REST API, or to what runs in the folder."""
    if rest is None and (run := read_run(folder or default_folder())) is not None:
        rest, streams = run.api, streams or run.ws
    rest = (rest or REST_DEFAULT).rstrip("/")
    parts = urlsplit(rest)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise typer.BadParameter(f"{rest!r} does not begin with http:// or https:// and a host.")
    scheme = "wss" if parts.scheme == "https" else "ws"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Addresses(
        rest=rest,
        streams=(streams or f"{scheme}://{host}:{STREAM_PORT}").rstrip("/"),
        socket_api=(socket_api or f"{scheme}://{parts.netloc}{SOCKET_API_PATH}").rstrip("/"),
    )


def snippet(client: Client, to: Addresses) -> str:
    """Python, or JSON for freqtrade; key and secret are left to be filled in."""
    return dedent(_SNIPPETS[client](to)).lstrip("\n")


def _ccxt(to: Addresses) -> str:
    return f"""
        import ccxt

        # Every address is here on purpose: a ccxt that knows only some of them sends your API key
        # to another exchange when it loads the markets.
        exchange = ccxt.binance({_ccxt_options(to)})
    """


def _ccxt_pro(to: Addresses) -> str:
    return f"""
        import ccxt.pro

        # Every address is here on purpose: a ccxt that knows only some of them sends your API key
        # to another exchange when it loads the markets.
        exchange = ccxt.pro.binance({_ccxt_options(to)})
    """


def _ccxt_options(to: Addresses) -> str:
    """As a Python literal, below the call that it is in."""
    options = {"apiKey": "YOUR_API_KEY", "secret": "YOUR_SECRET", **ccxt_config(to)}
    text = msgspec.json.format(msgspec.json.encode(options), indent=4).decode()
    # What else there is, is written alike in JSON and in Python.
    return text.replace(": false", ": False").replace("\n", "\n        ")


def ccxt_config(to: Addresses) -> dict[str, Any]:
    """What ccxt's constructor takes, without key and secret."""
    rest = to.rest
    sapi = {
        f"sapi{version}": f"{rest}/sapi/v{version[1:] or 1}" for version in ("", "V2", "V3", "V4")
    }
    others = {
        f"{kind}{access}": f"{rest}/{kind}/{path}"
        for kind in ("fapi", "dapi", "eapi")
        for access, path in (
            ("Public", "v1"), ("PublicV2", "v2"), ("PublicV3", "v3"), ("Private", "v1"),
            ("PrivateV2", "v2"), ("PrivateV3", "v3"), ("Data", "data"),
        )
    }  # fmt: skip
    sockets = {
        "spot": f"{to.streams}/ws",
        "margin": f"{to.streams}/ws",
        "ws-api": {"spot": to.socket_api},
    }
    api = {
        "public": f"{rest}/api/v3",
        "private": f"{rest}/api/v3",
        "v1": f"{rest}/api/v1",
        **sapi,
        **others,
        "papi": f"{rest}/papi/v1",
        "papiV2": f"{rest}/papi/v2",
        "ws": sockets,
    }
    return {
        "urls": {"api": api},
        "options": {
            "fetchMarkets": {"types": ["spot"]},
            "fetchMargins": False,
            "fetchCurrencies": False,
        },
    }


def _freqtrade(to: Addresses) -> str:
    config = {
        "exchange": {
            "name": "binance",
            "key": "YOUR_API_KEY",
            "secret": "YOUR_SECRET",
            "ccxt_config": ccxt_config(to),
            "ccxt_async_config": ccxt_config(to),
        }
    }
    return msgspec.json.format(msgspec.json.encode(config), indent=4).decode() + "\n"


def _python_binance(to: Addresses) -> str:
    return f"""
        from binance import BinanceSocketManager, Client
        from binance.base_client import BaseClient

        # Before the first client is made, which asks for the time at once.
        BaseClient.API_URL = "{to.rest}/api"
        BaseClient.MARGIN_API_URL = "{to.rest}/sapi"
        BaseClient.WS_API_URL = "{to.socket_api}"
        BinanceSocketManager.STREAM_URL = "{to.streams}/"

        client = Client("YOUR_API_KEY", "YOUR_SECRET")
    """


def _sdk(to: Addresses) -> str:
    return f"""
        from binance_common.configuration import (
            ConfigurationRestAPI,
            ConfigurationWebSocketAPI,
            ConfigurationWebSocketStreams,
        )
        from binance_sdk_spot.spot import Spot

        client = Spot(
            config_rest_api=ConfigurationRestAPI(
                api_key="YOUR_API_KEY", api_secret="YOUR_SECRET", base_path="{to.rest}"
            ),
            config_ws_api=ConfigurationWebSocketAPI(
                api_key="YOUR_API_KEY",
                api_secret="YOUR_SECRET",
                stream_url="{to.socket_api}",
            ),
            config_ws_streams=ConfigurationWebSocketStreams(stream_url="{to.streams}"),
        )
    """


def _binance_connector(to: Addresses) -> str:
    return f"""
        from binance.spot import Spot
        from binance.websocket.spot.websocket_api import SpotWebsocketAPIClient
        from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient

        client = Spot(api_key="YOUR_API_KEY", api_secret="YOUR_SECRET", base_url="{to.rest}")
        streams = SpotWebsocketStreamClient(stream_url="{to.streams}")
        socket_api = SpotWebsocketAPIClient(
            stream_url="{to.socket_api}", api_key="YOUR_API_KEY", api_secret="YOUR_SECRET"
        )
    """


def _unicorn(to: Addresses) -> str:
    return f"""
        from unicorn_binance_websocket_api import BinanceWebSocketApiManager

        manager = BinanceWebSocketApiManager(
            exchange="binance.com",
            websocket_base_uri="{to.streams}/",
            websocket_api_base_uri="{to.socket_api}",
            restful_base_uri="{to.rest}/api",
        )
    """


def _nautilus(to: Addresses) -> str:
    return f"""
        from nautilus_trader.adapters.binance import BinanceDataClientConfig, BinanceExecClientConfig

        data = BinanceDataClientConfig(
            api_key="YOUR_API_KEY",
            api_secret="YOUR_SECRET",
            base_url_http="{to.rest}",
            base_url_ws="{to.streams}",
        )
        # The same name means the WebSocket API here.
        execution = BinanceExecClientConfig(
            api_key="YOUR_API_KEY",
            api_secret="YOUR_SECRET",
            base_url_http="{to.rest}",
            base_url_ws="{to.socket_api}",
        )
    """


def _hummingbot(to: Addresses) -> str:
    return f"""
        # Its addresses cannot be configured: change these lines of its source,
        # hummingbot/connector/exchange/binance/binance_constants.py.
        REST_URL = "{to.rest}/api/"
        WSS_URL = "{to.streams}/ws"
        WSS_API_URL = "{to.socket_api}"
    """


def _cryptofeed(to: Addresses) -> str:
    return f"""
        from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
        from cryptofeed.exchanges import Binance
        from cryptofeed.exchanges.mixins.binance_rest import BinanceRestMixin

        # Before the first feed is made.
        Binance.websocket_endpoints = [WebsocketEndpoint("{to.streams}")]
        Binance.rest_endpoints = [
            RestEndpoint(
                "{to.rest}",
                routes=Routes(
                    "/api/v3/exchangeInfo",
                    l2book="/api/v3/depth?symbol={{}}&limit={{}}",
                    authentication="/api/v3/userDataStream",
                ),
            )
        ]
        BinanceRestMixin.api = "{to.rest}/api/v3/"
    """


_SNIPPETS: dict[Client, Callable[[Addresses], str]] = {
    Client.ccxt: _ccxt,
    Client.ccxt_pro: _ccxt_pro,
    Client.freqtrade: _freqtrade,
    Client.python_binance: _python_binance,
    Client.sdk: _sdk,
    Client.binance_connector: _binance_connector,
    Client.unicorn: _unicorn,
    Client.nautilus: _nautilus,
    Client.hummingbot: _hummingbot,
    Client.cryptofeed: _cryptofeed,
}
