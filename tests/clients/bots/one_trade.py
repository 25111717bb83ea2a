"""A strategy that does nothing by itself: freqtrade enters and exits when it is told to."""

from typing import ClassVar

from freqtrade.strategy import IStrategy
from pandas import DataFrame


class OneTrade(IStrategy):
    """Buys at the best ask, protects itself with a stop on the exchange, sells at the best bid."""

    INTERFACE_VERSION = 3
    timeframe = "1m"
    startup_candle_count = 0
    minimal_roi: ClassVar = {"0": 100}
    stoploss = -0.2
    order_types: ClassVar = {
        "entry": "limit",
        "exit": "limit",
        "stoploss": "limit",
        "stoploss_on_exchange": True,
    }

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        return dataframe
