"""Every error of the public API: its code, its exact text and its HTTP status.

Clients act on both the code and the text, so the texts are Binance's to the letter.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NoReturn

import msgspec

from exchange.services.markets import Feature
from exchange.services.messages import Reason, Rejected
from exchange.services.orders import OrderType


class ApiError(Exception):
    """A request was refused: the answer is `{"code": …, "msg": …}`, with `data` if there is any."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        status: int = 400,
        retry_after_s: int | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s
        self._data = data

    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = {"code": self.code, "msg": self.message}
        if self._data is not None:
            content["data"] = self._data
        return content

    def body(self) -> bytes:
        return msgspec.json.encode(self.content())


class Fault(msgspec.Struct, frozen=True):
    """An error without arguments: raise it with `fault.refuse()`."""

    code: int
    message: str
    status: int = 400
    retry_after_s: int | None = None

    def error(self) -> ApiError:
        return ApiError(
            self.code, self.message, status=self.status, retry_after_s=self.retry_after_s
        )

    def refuse(self) -> NoReturn:
        raise self.error()


# --- The service ---

INTERNAL = Fault(-1000, "An unknown error occurred while processing the request.", 500)
UNAVAILABLE = Fault(
    -1001, "Internal error; unable to process your request. Please try again.", 503, 1
)
UNEXPECTED = Fault(
    -1006,
    "An unexpected response was received from the message bus. Execution status unknown.",
    504,
)
TIMEOUT = Fault(
    -1007,
    "Timeout waiting for response from backend server."
    " Send status unknown; execution status unknown.",
    504,
)
OVERLOADED = Fault(
    -1008,
    "Server is currently overloaded with other requests; this one was not executed."
    " Please try again in a few minutes.",
    503,
    1,
)
NO_SUCH_PATH = Fault(-1020, "This operation is not supported.", 404)
NO_SUCH_METHOD = Fault(-1020, "This operation is not supported.", 405)
QUERY_TOO_LONG = Fault(-1101, "Too many parameters sent for this endpoint.", 414)
BODY_TOO_LARGE = Fault(-1101, "Too many parameters sent for this endpoint.", 413)
REQUEST_TOO_SLOW = Fault(-1102, "The request did not arrive in time.", 408)

# --- Who asks, and when ---

KEY_FORMAT = Fault(-2014, "API-key format invalid.", 401)
KEY_REJECTED = Fault(-2015, "Invalid API-key, IP, or permissions for action.", 401)
SIGNATURE = Fault(-1022, "Signature for this request is not valid.")
OUTSIDE_WINDOW = Fault(-1021, "Timestamp for this request is outside of the recvWindow.")
AHEAD_OF_TIME = Fault(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
TIME_UNIT = Fault(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")

# --- Parameters ---

DUPLICATE_PARAMETER = Fault(-1101, "Duplicate values for a parameter detected.")
TIME_IN_FORCE = Fault(-1115, "Invalid timeInForce.")
ORDER_TYPE = Fault(-1116, "Invalid orderType.")
SIDE = Fault(-1117, "Invalid side.")
INTERVAL = Fault(-1120, "Invalid interval.")
SYMBOL = Fault(-1121, "Invalid symbol.")
SYMBOL_STATUS = Fault(-1122, "Invalid symbolStatus.")
MORE_THAN_A_DAY = Fault(-1127, "More than 24 hours between startTime and endTime.")
COMBINATION = Fault(-1128, "Combination of optional parameters invalid.")
TICKER_TYPE = Fault(-1139, "Invalid ticker type.")
CANCEL_RESTRICTIONS = Fault(
    -1145, "`cancelRestrictions` has to be either `ONLY_NEW` or `ONLY_PARTIALLY_FILLED`."
)
DUPLICATE_SYMBOL = Fault(-1151, "Symbol is present multiple times in the list.")
INVALID_JSON = Fault(-1135, "Invalid JSON Request")
STATUS_MISMATCH = Fault(-1220, "The symbol's status does not match the requested symbolStatus.")

# --- What this exchange does not do ---

UNSUPPORTED = Fault(-1020, "This operation is not supported.")
STP_MODE = Fault(-1013, "This symbol does not allow the specified self-trade prevention mode.")
NO_PEGGED = Fault(-1013, "Pegged orders are not supported for this symbol.")
NO_OPO = Fault(-1013, "OPO orders are not supported for this symbol.")

# --- User data ---

LISTEN_KEY = Fault(-1125, "This listenKey does not exist.")
SUBSCRIPTION_ACTIVE = Fault(-2035, "User Data Stream subscription already active.")
SUBSCRIPTION_INACTIVE = Fault(-2036, "User Data Stream subscription not active.")

# --- Orders ---

INVALID_QUANTITY = Fault(-1013, "Invalid quantity.")
INVALID_PRICE = Fault(-1013, "Invalid price.")
INVALID_STOP_PRICE = Fault(-1013, "Invalid stop price.")
INVALID_ICEBERG_QUANTITY = Fault(-1013, "Invalid iceberg quantity.")
INVALID_QUOTE_QUANTITY = Fault(-1013, "Invalid quote order quantity.")
ORDER_COMBINATION = Fault(-1014, "Unsupported order combination.")
STRATEGY_TYPE = Fault(-1134, "`strategyType` was less than 1000000.")
NO_SUCH_ORDER = Fault(-2013, "Order does not exist.")
NO_REFERENCE_PRICE = Fault(-2043, "This symbol doesn't have a reference price.")
NO_SUCH_LIST = Fault(-2018, "Order list does not exist.")

# --- Legs of an OCO ---

OCO_TYPE = Fault(-1158, "Order type not supported in OCO.")
BUY_LIMIT_BELOW = Fault(-1165, "A limit order in a buy OCO must be below.")
SELL_LIMIT_ABOVE = Fault(-1166, "A limit order in a sell OCO must be above.")
BOTH_LIMIT = Fault(-1168, "At least one OCO order must be contingent.")
BUY_STOP_LOSS_ABOVE = Fault(-1196, "A stop loss order in a buy OCO must be above.")
SELL_STOP_LOSS_BELOW = Fault(-1197, "A stop loss order in a sell OCO must be below.")
BUY_TAKE_PROFIT_BELOW = Fault(-1198, "A take profit order in a buy OCO must be below.")
SELL_TAKE_PROFIT_ABOVE = Fault(-1199, "A take profit order in a sell OCO must be above.")


TOO_MANY, BANNED = 429, 418
PARTLY_FAILED = 409
"""The HTTP status of a request of which one half was executed."""


class Asked(IntEnum):
    """What the engine was asked to do; the value is the code of most of its refusals."""

    PLACE = -2010
    CANCEL = -2011
    AMEND = -2038


_FIXED = {
    Reason.LATE: OUTSIDE_WINDOW,
    Reason.KEY_NOT_VALID: KEY_REJECTED,
    Reason.UNKNOWN_ACCOUNT: KEY_REJECTED,
    Reason.UNKNOWN_SYMBOL: SYMBOL,
    Reason.ORDER_ID_MISMATCH: Fault(-2039, "Client order ID is not correct for this order ID."),
    Reason.SELF_TRADE_MODE: STP_MODE,
    Reason.ICEBERG_TOO_LARGE: Fault(-1013, "IcebergQty exceeds QTY."),
}
_TEXTS = {
    Reason.UNKNOWN_ORDER: "Unknown order sent.",
    Reason.UNKNOWN_LIST: "Unknown order list sent.",
    Reason.NO_OPEN_ORDERS: "Unknown order sent.",
    Reason.CANCEL_RESTRICTED: "Order was not canceled due to cancel restrictions.",
    Reason.MARKET_CLOSED: "Market is closed.",
    Reason.ACCOUNT_STOPPED: "This action is disabled on this account.",
    Reason.DUPLICATE_CLIENT_ORDER_ID: "Duplicate order sent.",
    Reason.INSUFFICIENT_BALANCE: "Account has insufficient balance for requested action.",
    Reason.WOULD_MATCH: "Order would immediately match and take.",
    Reason.WOULD_TRIGGER: "Order would trigger immediately.",
    Reason.LIST_PRICES: "The relationship of the prices for the orders is not correct.",
    Reason.NO_CHANGE: "The requested action would change no state; rejecting",
    Reason.AMEND_INCREASE: "Order amend (quantity increase) is not supported.",
    Reason.NO_LIQUIDITY: "Order book liquidity is less than symbol minimum quantity.",
}
_LACKING: dict[str, str] = {
    OrderType.LIMIT: "Limit orders are not supported for this symbol.",
    OrderType.LIMIT_MAKER: "Limit maker orders are not supported for this symbol.",
    OrderType.MARKET: "Market orders are not supported for this symbol.",
    OrderType.STOP_LOSS: "Stop loss orders are not supported for this symbol.",
    OrderType.STOP_LOSS_LIMIT: "Stop loss limit orders are not supported for this symbol.",
    OrderType.TAKE_PROFIT: "Take profit orders are not supported for this symbol.",
    OrderType.TAKE_PROFIT_LIMIT: "Take profit limit orders are not supported for this symbol.",
    Feature.ICEBERG: "Iceberg orders are not supported for this symbol.",
    Feature.TRAILING: "Trailing stop orders are not supported for this symbol.",
    # Binance spells these two so.
    Feature.QUOTE_QUANTITY: "Quote order qty market orders are not support for this symbol.",
    Feature.OCO: "OCO orders are not supported for this symbol",
    Feature.OTO: "OTO orders are not supported for this symbol.",
    Feature.CANCEL_REPLACE: "Order cancel-replace is not supported for this symbol.",
    Feature.AMEND: "Order amend is not supported for this symbol.",
}
_BEFORE_THE_ENGINE = -1013
"""Binance finds these faults before its engine does; those of an amend have the amend's code."""


def illegal(name: str, legal_range: str) -> ApiError:
    return ApiError(
        -1100,
        f"Illegal characters found in parameter '{name}'; legal range is '{legal_range}'.",
    )


def mandatory(name: str) -> ApiError:
    return ApiError(
        -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    )


def too_many_values(name: str, most: int) -> ApiError:
    return ApiError(
        -1101, f"Too many values sent for parameter '{name}', maximum allowed up to {most}."
    )


def bad_json(name: str) -> ApiError:
    return ApiError(-1135, f"JSON sent for parameter '{name}' is not valid")


def too_many_subscriptions(most: int) -> ApiError:
    return ApiError(
        -1191,
        f"Too many subscriptions. Connection may create up to '{most}' subscriptions at a time.",
    )


def one_of_mandatory(first: str, second: str) -> ApiError:
    return ApiError(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def too_great(name: str, greatest: int) -> ApiError:
    return ApiError(
        -1102, f"'{name}' contains unexpected value. Cannot be greater than '{greatest}'."
    )


def unread(read: int, sent: int) -> ApiError:
    return ApiError(
        -1104,
        f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.",
    )


def empty(name: str) -> ApiError:
    return ApiError(-1105, f"Parameter '{name}' was empty.")


def iceberg_not_kept(name: str) -> ApiError:
    return ApiError(
        -1160,
        f"Parameter '{name}' is not supported if `aboveTimeInForce`/`belowTimeInForce` is not GTC.",
    )


def not_required(name: str) -> ApiError:
    return ApiError(-1106, f"Parameter '{name}' sent when not required.")


def overflow(name: str) -> ApiError:
    return ApiError(-1108, f"Parameter '{name}' overflowed.")


def too_precise(name: str) -> ApiError:
    return ApiError(-1111, f"Parameter '{name}' has too much precision.")


def invalid(name: str) -> ApiError:
    return ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")


def too_much_weight(limit: int, retry_after_s: int) -> ApiError:
    return ApiError(
        -1003,
        f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE."
        " Please use WebSocket Streams for live updates to avoid polling the API.",
        status=TOO_MANY,
        retry_after_s=retry_after_s,
    )


def too_many_requests(retry_after_s: int) -> ApiError:
    return ApiError(
        -1003, "Too many requests queued.", status=TOO_MANY, retry_after_s=retry_after_s
    )


def banned(until_ms: int, retry_after_s: int) -> ApiError:
    return ApiError(
        -1003,
        f"Way too much request weight used; IP banned until {until_ms}."
        " Please use WebSocket Streams for live updates to avoid bans.",
        status=BANNED,
        retry_after_s=retry_after_s,
    )


def too_many_orders(limit: int, window: str, retry_after_s: int) -> ApiError:
    return ApiError(
        -1015,
        f"Too many new orders; current limit is {limit} orders per {window}.",
        status=TOO_MANY,
        retry_after_s=retry_after_s,
    )


def rejection(result: Rejected, asked: Asked) -> ApiError:
    """What the engine's refusal is called in the public API."""
    if (fault := _FIXED.get(result.reason)) is not None:
        return fault.error()
    if (text := _TEXTS.get(result.reason)) is not None:
        return ApiError(asked.value, text)
    code = asked.value if asked is Asked.AMEND else _BEFORE_THE_ENGINE
    if result.reason is Reason.FILTER:
        return ApiError(code, f"Filter failure: {result.detail}")
    if result.reason is Reason.NOT_SUPPORTED:
        return ApiError(code, _LACKING[result.detail])
    if result.reason is Reason.TOO_LITTLE_LIQUIDITY:
        text = f"Order book liquidity is less than `{result.detail}` filter minimum quantity."
        return ApiError(asked.value, text)
    # INVALID and POISON name faults that no request should be able to cause.
    return ApiError(asked.value, _UNEXPLAINED[asked])


_UNEXPLAINED = {
    Asked.PLACE: "NEW_ORDER_REJECTED",
    Asked.CANCEL: "CANCEL_REJECTED",
    Asked.AMEND: "ORDER_AMEND_REJECTED",
}


def replace_failure(
    data: Mapping[str, Any], *, partly: bool, status: int | None = None
) -> ApiError:
    """A cancel-replace of which one half failed, or both."""
    if partly:
        text = "Order cancel-replace partially failed."
        return ApiError(-2021, text, status=status or PARTLY_FAILED, data=data)
    return ApiError(-2022, "Order cancel-replace failed.", status=status or 400, data=data)


def not_executed(reason: str) -> ApiError:
    """A command that was refused before the journal: it did not and will not happen."""
    return UNAVAILABLE.error() if reason == "CLOCK" else OVERLOADED.error()
