"""docs/asyncapi.yaml: every stream and message, from the tables and classes that make them.

`python -m exchange.websocket.asyncapi > docs/asyncapi.yaml`
"""

import sys
from typing import Any

import msgspec

from exchange.websocket import payloads, subscriptions
from exchange.websocket.sockets import SHUTDOWN
from exchange.websocket.streams import ALL, Kind, Stream, array_streams, market_streams
from exchange.websocket.subscriptions import ID_CHARACTERS_MAX, STREAMS_MAX, Method

Json = dict[str, Any]

PAYLOADS: dict[Kind, type[payloads.Payload]] = {
    Kind.TRADE: payloads.Trade,
    Kind.AGGREGATE_TRADE: payloads.AggregateTrade,
    Kind.KLINE: payloads.Kline,
    Kind.MINI_TICKER: payloads.MiniTicker,
    Kind.TICKER: payloads.Ticker,
    Kind.WINDOW_TICKER: payloads.WindowTicker,
    Kind.BOOK_TICKER: payloads.BookTicker,
    Kind.AVERAGE_PRICE: payloads.AveragePrice,
    Kind.DEPTH: payloads.Depth,
    Kind.PARTIAL_DEPTH: payloads.PartialDepth,
}
ANSWERS = (subscriptions.Result, subscriptions.Refusal)

_SYMBOL = "symbol"


def main() -> None:
    sys.stdout.buffer.write(text())


def text() -> bytes:
    return msgspec.yaml.encode(document())


def document() -> Json:
    """AsyncAPI 3."""
    channels = {**_stream_channels(), **_other_channels()}
    operations: Json = {
        name: {"action": "send", "channel": _reference("channels", name)} for name in channels
    }
    operations["ask"] = {
        "action": "receive",
        "channel": _reference("channels", "control"),
        "messages": [{"$ref": "#/channels/control/messages/Request"}],
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Market streams",
            "version": "1.0.0",
            "description": "When each stream speaks is said in docs/streams.md.",
        },
        "servers": {"streams": {"host": "127.0.0.1:4000", "protocol": "ws"}},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


# --- Channels: one for each kind of stream ---


def _stream_channels() -> Json:
    kinds: dict[str, list[Stream]] = {}
    for stream in market_streams(_SYMBOL):
        kinds.setdefault(stream.kind, []).append(stream)
    for stream in array_streams():
        kinds.setdefault(stream.kind + "Array", []).append(stream)
    return {name: _stream_channel(name, streams) for name, streams in kinds.items()}


def _stream_channel(channel: str, streams: list[Stream]) -> Json:
    """Where there are several spellings, a parameter that is named like the channel has them."""
    prefix = "" if streams[0].symbol == ALL else f"{_SYMBOL}@"
    speeds = {
        name.removeprefix(prefix): stream.speed for stream in streams for name in stream.names
    }
    is_one = len(speeds) == 1
    parameters: Json = {_SYMBOL: {"description": "In lower case."}} if prefix else {}
    if not is_one:
        parameters[channel] = {"enum": list(speeds)}
    found: Json = {
        "address": f"/ws/{{{_SYMBOL}}}@" if prefix else "/ws/",
        "parameters": parameters,
        "messages": _referenced(message_name(streams[0])),
    }
    found["address"] += next(iter(speeds)) if is_one else f"{{{channel}}}"
    if intervals := {name: one.value for name, one in speeds.items() if one is not None}:
        found["x-milliseconds"] = intervals
    return found


def _other_channels() -> Json:
    return {
        "combined": {
            "address": "/stream",
            "description": "What is asked for by ?streams=<name>/<name>, each in an envelope.",
            "messages": _referenced("Combined"),
        },
        "control": {
            "address": "/ws",
            "description": "Every connection: what clients ask for, and what they are told of it.",
            "messages": _referenced(
                "Request", *(one.__name__ for one in ANSWERS), payloads.ServerShutdown.__name__
            ),
        },
    }


def _referenced(*messages: str) -> Json:
    return {name: _reference("components/messages", name) for name in messages}


def _reference(folder: str, name: str) -> Json:
    return {"$ref": f"#/{folder}/{name}"}


# --- Messages: the classes that are sent ---


def message_name(stream: Stream) -> str:
    """The name under which the document has the messages of a stream."""
    name = PAYLOADS[stream.kind].__name__
    return f"{name}Array" if stream.symbol == ALL else name


def _schemas() -> Json:
    """By name: all that is sent, then what is made of it by putting something around it."""
    sent: list[type[msgspec.Struct]] = [*PAYLOADS.values(), payloads.ServerShutdown, *ANSWERS]
    _, schemas = msgspec.json.schema_components(sent, ref_template="#/components/schemas/{name}")
    inner: list[type[msgspec.Struct]] = [payloads.Candle]
    for kind in inner + sent:
        _name_fields(kind, schemas[kind.__name__])
    for stream in array_streams():
        schemas[message_name(stream)] = {
            "description": "The markets that changed.",
            "type": "array",
            "items": _reference("components/schemas", PAYLOADS[stream.kind].__name__),
            "minItems": 1,
        }
    events = [name for name in schemas if name in _message_names()]
    schemas["Combined"] = {
        "description": f"A message of a stream with its name, which is {SHUTDOWN} for the last one.",
        "type": "object",
        "properties": {
            "stream": {"type": "string"},
            "data": {"anyOf": [_reference("components/schemas", name) for name in events]},
        },
        "required": ["stream", "data"],
        "additionalProperties": False,
    }
    schemas["Request"] = _REQUEST
    return dict(schemas)


def _message_names() -> list[str]:
    """Of all that streams say."""
    streams = (*market_streams(_SYMBOL), *array_streams())
    names = [message_name(stream) for stream in streams]
    return list(dict.fromkeys([*names, payloads.ServerShutdown.__name__]))


def _name_fields(kind: type[msgspec.Struct], schema: Json) -> None:
    """Say what each letter means."""
    for field in msgspec.structs.fields(kind):
        words = field.name.replace("_", " ")
        if field.encode_name != field.name:
            schema["properties"][field.encode_name] = {
                "title": words,
                **schema["properties"][field.encode_name],
            }


def _messages() -> Json:
    names = [*_message_names(), "Combined", "Request", *(one.__name__ for one in ANSWERS)]
    return {
        name: {"name": name, "payload": _reference("components/schemas", name)} for name in names
    }


_REQUEST: Json = {
    "description": "What a client may ask; anything else is refused.",
    "type": "object",
    "properties": {
        "method": {"enum": [method.value for method in Method]},
        "params": {
            "description": "Names of streams; of a property, `combined`, and its value.",
            "type": "array",
            "items": {"type": ["string", "boolean"]},
            "maxItems": STREAMS_MAX,
        },
        "id": {
            "description": "Comes back with the answer.",
            "type": ["integer", "string", "null"],
            "maxLength": ID_CHARACTERS_MAX,
        },
    },
    "required": ["method"],
}


if __name__ == "__main__":
    main()
