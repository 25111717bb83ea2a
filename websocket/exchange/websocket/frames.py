"""A whole message as it goes over the wire, made once for all sockets that get it.

Compression keeps nothing from one message to the next, so a compressed frame, too, is the same for
all sockets that agreed on the same window.
"""

from collections.abc import Iterator, Sequence
from functools import cache

from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import Frame, Opcode

_SETTINGS = {"memLevel": 5}
_LONG_SIZE = 126
"""From here on a frame's size stands in two bytes of its own, and one above in eight."""

DEFLATE = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    # A small window: it is made anew for every message, and most are short.
    server_max_window_bits=12,
    compress_settings=_SETTINGS,
)
"""What is agreed to where compression is on and a client asks for it."""


def deflate_bits(extensions: Sequence[Extension]) -> int:
    """The window for what we send, 0 where no compression was agreed."""
    for extension in extensions:
        if isinstance(extension, PerMessageDeflate):
            return extension.local_max_window_bits
    return 0


def text_frame(text: bytes, deflate_bits: int = 0) -> bytes:
    """A text as a frame; what is not compressed, as most is not, without the library's detours."""
    if deflate_bits:
        return Frame(Opcode.TEXT, text).serialize(mask=False, extensions=(_deflate(deflate_bits),))
    size = len(text)
    if size < _LONG_SIZE:
        return b"\x81%c%b" % (size, text)
    if size < 1 << 16:
        return b"\x81\x7e%b%b" % (size.to_bytes(2), text)
    return b"\x81\x7f%b%b" % (size.to_bytes(8), text)


def split_frames(frames: bytes) -> Iterator[bytes]:
    """Each of the frames that were joined: whole ones, as `text_frame` makes them."""
    begin = 0
    while begin < len(frames):
        size, head = frames[begin + 1], 2
        if size >= _LONG_SIZE:
            head = 4 if size == _LONG_SIZE else 10
            size = int.from_bytes(frames[begin + 2 : begin + head])
        end = begin + head + size
        yield frames[begin:end]
        begin = end


@cache
def _deflate(bits: int) -> PerMessageDeflate:
    return PerMessageDeflate(
        remote_no_context_takeover=True,
        local_no_context_takeover=True,
        remote_max_window_bits=15,
        local_max_window_bits=bits,
        compress_settings=_SETTINGS,
    )
