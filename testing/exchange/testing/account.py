"""An account of a test, and the clients that trade with it."""

import importlib
from functools import cached_property
from typing import Any

from exchange.services.client_configs import Addresses, ccxt_config
from exchange.testing.signed_client import SignedClient

CCXT_MISSING = (
    "ccxt is not installed: `pip install ccxt`, or install the exchange with its extra `testing`."
)

# The markets of one exchange are loaded once: that is most of what a new client does.
_loaded: dict[str, Any] = {}


class Account:
    """Who trades: its key, and ready clients."""

    def __init__(self, addresses: Addresses, name: str, id: int, api_key: str, secret: str) -> None:
        self.addresses = addresses
        self.name, self.id = name, id
        self.api_key, self.secret = api_key, secret

    @cached_property
    def raw(self) -> SignedClient:
        """The API as it is."""
        return SignedClient(self.addresses.rest, self.api_key, self.secret)

    def ccxt(self, **options: Any) -> Any:
        """A `ccxt.binance` of this account, its markets loaded; `options` are ccxt's own."""
        client = self._client("ccxt", options)
        key = self.addresses.rest
        if key not in _loaded:
            client.load_markets()
            _loaded[key] = client
        return _with_markets(client, _loaded[key])

    def ccxt_async(self, **options: Any) -> Any:
        """A `ccxt.async_support.binance`, for `async with`, which closes it."""
        return self._with_known_markets("ccxt.async_support", options)

    def ccxt_pro(self, **options: Any) -> Any:
        """A `ccxt.pro.binance`, for streams, and for `async with`."""
        return self._with_known_markets("ccxt.pro", options)

    def balance(self, asset: str) -> tuple[float, float]:
        """Free and locked."""
        for one in self.raw.signed("GET", "account")["balances"]:
            if one["asset"] == asset:
                return float(one["free"]), float(one["locked"])
        return 0.0, 0.0

    def close(self) -> None:
        self.raw.close()

    def _with_known_markets(self, module: str, options: dict[str, Any]) -> Any:
        self.ccxt()
        return _with_markets(self._client(module, options), _loaded[self.addresses.rest])

    def _client(self, module: str, options: dict[str, Any]) -> Any:
        try:
            library = importlib.import_module(module)
        except ImportError as fault:
            raise RuntimeError(CCXT_MISSING) from fault
        config = ccxt_config(self.addresses)
        config["options"] |= options.pop("options", {})
        config |= {"apiKey": self.api_key, "secret": self.secret}
        # Its own limits are for a server far away, which others share.
        return library.binance({"enableRateLimit": False, **config, **options})


def _with_markets(client: Any, known: Any) -> Any:
    if client is not known:
        client.set_markets(list(known.markets.values()), known.currencies)
    return client
