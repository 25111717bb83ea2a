"""Money for nothing, where an exchange is a toy: how much of it one gets at a time."""

from exchange.services.amounts import InvalidAmount, TooPrecise, format_amount, parse_amount
from exchange.services.markets import Asset
from exchange.services.settings import InvalidSettings

USUAL = {"USDC": 100_000, "USDT": 100_000, "BTC": 2, "ETH": 30, "SOL": 1_000}
OTHERWISE = 1_000
FINEST = 18
"""No asset has more decimals."""
OFF, ON = ("", "0", "off"), ("1", "on")


class TestFunds:
    """Whole or decimal amounts by asset; those of other assets are 0, or the usual ones."""

    __test__ = False  # pytest would take it for tests

    def __init__(self, amounts: dict[str, str] | None) -> None:
        """None: the usual amounts."""
        self._amounts = amounts

    @classmethod
    def from_setting(cls, text: str) -> "TestFunds | None":
        """off, on, or amounts such as `USDC:1000,BTC:0.5`; None where they are off."""
        if text in OFF:
            return None
        if text in ON:
            return cls(None)
        amounts = {}
        for item in text.split(","):
            asset, _, amount = item.strip().partition(":")
            try:
                parse_amount(amount, FINEST)
            except (InvalidAmount, TooPrecise):
                raise InvalidSettings(
                    "TEST_FUNDS must be off, on, or amounts such as USDC:1000,BTC:0.5"
                ) from None
            amounts[asset] = amount
        return cls(amounts)

    def most(self, asset: Asset) -> int:
        """Units that one gets at a time."""
        if self._amounts is None:
            return parse_amount(str(USUAL.get(asset.name, OTHERWISE)), asset.decimals)
        # Written with more decimals than the asset has, the rest is nothing.
        units = parse_amount(self._amounts.get(asset.name, "0"), FINEST)
        step: int = 10 ** (FINEST - asset.decimals)
        return units // step

    def written(self, assets: dict[str, Asset]) -> dict[str, str]:
        """Decimal texts by asset, those left out that one gets none of."""
        return {
            name: _plain(format_amount(most, asset.decimals))
            for name, asset in assets.items()
            if (most := self.most(asset))
        }


def _plain(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
