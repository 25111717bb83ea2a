"""ListenKeys: words by which the owner of an account listens to it on the websocket server.

They need a key and no signature: they tell nothing and move nothing.
"""

from exchange.backend import errors
from exchange.backend.answers import ListenKey, Nothing
from exchange.backend.endpoints import Call, Endpoint, Security
from exchange.backend.formats import Json
from exchange.backend.parameters import text_parameter
from exchange.services.failures import WorldFailed

PATH = "/api/v3/userDataStream"
WEIGHT = 2
LISTEN_KEY = text_parameter(
    "listenKey", "^[0-9A-Za-z]{1,64}$", "What was given out for the account."
).required()


async def start(call: Call) -> Json:
    """The account's listenKey: the one that lives, with another hour, or a new one."""
    try:
        return {"listenKey": await call.state.listen_keys.start(call.account, call.caller.key.name)}
    except WorldFailed:
        raise errors.UNAVAILABLE.error() from None


async def prolong(call: Call) -> Json:
    """Give it an hour from now on."""
    try:
        is_known = await call.state.listen_keys.prolong(call.account, call.values[LISTEN_KEY])
    except WorldFailed:
        raise errors.UNAVAILABLE.error() from None
    if not is_known:
        errors.LISTEN_KEY.refuse()
    return {}


async def end(call: Call) -> Json:
    """Let nobody listen by it any more."""
    try:
        is_known = await call.state.listen_keys.end(call.account, call.values[LISTEN_KEY])
    except WorldFailed:
        raise errors.UNAVAILABLE.error() from None
    if not is_known:
        errors.LISTEN_KEY.refuse()
    return {}


ENDPOINTS = (
    Endpoint(
        "POST",
        PATH,
        start,
        socket_method="userDataStream.start",
        summary="A listenKey for the account",
        answer=(ListenKey,),
        security=Security.KEY,
        weight=WEIGHT,
    ),
    Endpoint(
        "PUT",
        PATH,
        prolong,
        socket_method="userDataStream.ping",
        summary="Another hour for a listenKey",
        answer=(Nothing,),
        parameters=(LISTEN_KEY,),
        security=Security.KEY,
        weight=WEIGHT,
    ),
    Endpoint(
        "DELETE",
        PATH,
        end,
        socket_method="userDataStream.stop",
        summary="The end of a listenKey",
        answer=(Nothing,),
        parameters=(LISTEN_KEY,),
        security=Security.KEY,
        weight=WEIGHT,
    ),
)
