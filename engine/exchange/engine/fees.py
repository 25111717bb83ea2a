"""What each side of a trade pays, and in which asset."""

from exchange.engine.ledger import Ledger
from exchange.engine.order_book import OrderBook
from exchange.engine.registry import Registry
from exchange.services.markets import RATE_SCALE, Market
from exchange.services.orders import Side
from exchange.services.rows import FEE_ACCOUNT


class Fees:
    """Rates are the market's for the account's tier; everything is rounded down."""

    def __init__(self, registry: Registry, ledger: Ledger, books: dict[str, OrderBook]) -> None:
        self._registry = registry
        self._ledger = ledger
        self._books = books

    def settle(
        self, market: Market, account: int, side: Side, quantity: int, quote: int, *, is_maker: bool
    ) -> tuple[int, str]:
        """Give one side of a trade what it receives, and take its fee.

        Tells how much and of which asset; "" is what that side receives.
        """
        payer, ledger = self._registry.accounts[account], self._ledger
        maker_rate, taker_rate = market.fee_rates(payer.tier)
        rate = maker_rate if is_maker else taker_rate
        received, asset = (quantity, market.base) if side is Side.BUY else (quote, market.quote)
        if payer.discount and market.rules.fee_discount:
            cheaper = self._registry.exchange_rules.discount_asset
            fee = self._discounted(market, quantity, quote, rate)
            # What was received just now may pay the fee too.
            owned = ledger.free(account, cheaper) + (received if cheaper == asset else 0)
            if fee is not None and owned >= fee:
                ledger.credit(account, asset, received)
                ledger.credit(account, cheaper, -fee)
                ledger.credit(FEE_ACCOUNT, cheaper, fee)
                return fee, "" if cheaper == asset else cheaper
        fee = received * rate // RATE_SCALE
        ledger.credit(account, asset, received - fee)
        if fee:
            ledger.credit(FEE_ACCOUNT, asset, fee)
        return fee, ""

    def _discounted(self, market: Market, quantity: int, quote: int, rate: int) -> int | None:
        """The fee in the discount asset; None where there is none, or no price for it."""
        rules = self._registry.exchange_rules
        if not rules.discount_asset:
            return None
        value = quote * rate // RATE_SCALE * rules.discount // RATE_SCALE
        if market.quote == rules.discount_asset:
            return value
        if market.base == rules.discount_asset:
            return value * quantity // quote if quote else 0
        return self._converted(value, market.quote, rules.discount_asset)

    def _converted(self, value: int, asset: str, into: str) -> int | None:
        """At the last price of a market between the two; of several the first by name."""
        for symbol in sorted(self._books):
            book = self._books[symbol]
            market, price = book.market, book.last_price
            if price and (market.base, market.quote) == (into, asset):
                return value * market.base_unit // price
            if price and (market.base, market.quote) == (asset, into):
                return value * price // market.base_unit
        return None
