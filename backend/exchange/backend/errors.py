"""Every error of the public API: its code, its exact text and its HTTP status.

Clients act on both the code and the text, so the texts are Binance's to the letter.
"""

from typing import NoReturn

import msgspec

from exchange.services.messages import Reason, Rejected


class ApiError(Exception):
    """A request was refused: the answer is `{"code": …, "msg": …}`."""

    def __init__(
        self, code: int, message: str, *, status: int = 400, retry_after_s: int | None = None
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s

    def body(self) -> bytes:
        return msgspec.json.encode({"code": self.code, "msg": self.message})


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
STATUS_MISMATCH = Fault(-1220, "The symbol's status does not match the requested symbolStatus.")

# --- What this exchange does not do ---

STP_MODE = Fault(-1013, "This symbol does not allow the specified self-trade prevention mode.")
NO_ICEBERGS = Fault(-1013, "Iceberg orders are not supported for this symbol.")
NO_TRAILING = Fault(-1013, "Trailing stop orders are not supported for this symbol.")
NO_PEGGED = Fault(-1013, "Pegged orders are not supported for this symbol.")
NO_STRATEGIES = Fault(-1014, "Unsupported order combination.")

# --- Orders ---

INVALID_QUANTITY = Fault(-1013, "Invalid quantity.")
INVALID_PRICE = Fault(-1013, "Invalid price.")
INVALID_QUOTE_QUANTITY = Fault(-1013, "Invalid quote order quantity.")
NO_SUCH_ORDER = Fault(-2013, "Order does not exist.")

_REASONS = {
    Reason.LATE: OUTSIDE_WINDOW,
    Reason.KEY_NOT_VALID: KEY_REJECTED,
    Reason.UNKNOWN_ACCOUNT: KEY_REJECTED,
    Reason.UNKNOWN_SYMBOL: SYMBOL,
    Reason.UNKNOWN_ORDER: Fault(-2011, "Unknown order sent."),
    Reason.NO_OPEN_ORDERS: Fault(-2011, "Unknown order sent."),
    Reason.ORDER_ID_MISMATCH: Fault(-2039, "Client order ID is not correct for this order ID."),
    Reason.CANCEL_RESTRICTED: Fault(-2011, "Order was not canceled due to cancel restrictions."),
    Reason.PRICE_FILTER: Fault(-1013, "Filter failure: PRICE_FILTER"),
    Reason.LOT_SIZE: Fault(-1013, "Filter failure: LOT_SIZE"),
    Reason.NOTIONAL: Fault(-1013, "Filter failure: NOTIONAL"),
    Reason.DUPLICATE_CLIENT_ORDER_ID: Fault(-2010, "Duplicate order sent."),
    Reason.INSUFFICIENT_BALANCE: Fault(
        -2010, "Account has insufficient balance for requested action."
    ),
    Reason.WOULD_MATCH: Fault(-2010, "Order would immediately match and take."),
    Reason.NO_LIQUIDITY: Fault(-2010, "Order book liquidity is less than symbol minimum quantity."),
}
_NEW_ORDER_REJECTED, _CANCEL_REJECTED = -2010, -2011


def illegal(name: str, legal_range: str) -> ApiError:
    return ApiError(
        -1100,
        f"Illegal characters found in parameter '{name}'; legal range is '{legal_range}'.",
    )


def mandatory(name: str) -> ApiError:
    return ApiError(
        -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
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
        status=429,
        retry_after_s=retry_after_s,
    )


def rejection(result: Rejected, *, cancel: bool) -> ApiError:
    """What the engine's refusal of an order, or of a cancel, is called in the public API."""
    if (fault := _REASONS.get(result.reason)) is not None:
        return fault.error()
    code = _CANCEL_REJECTED if cancel else _NEW_ORDER_REJECTED
    if result.reason is Reason.MARKET_CLOSED:
        return ApiError(code, "Market is closed.")
    # INVALID and POISON name faults that no request should be able to cause.
    return ApiError(code, "CANCEL_REJECTED" if cancel else "NEW_ORDER_REJECTED")


def not_executed(reason: str) -> ApiError:
    """A command that was refused before the journal: it did not and will not happen."""
    return UNAVAILABLE.error() if reason == "CLOCK" else OVERLOADED.error()
