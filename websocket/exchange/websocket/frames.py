"""A whole message as it goes over the wire, made once for all sockets that get it.

Compression keeps nothing from one message to the next, so a compressed frame, too, is the same for
all sockets that agreed on the same window.
"""

import zlib

from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import Frame, Opcode

DEFLATE = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    # A small window: it is made anew for every message, and most are short.
    server_max_window_bits=12,
)
"""What is agreed to where compression is on and a client asks for it."""

# How the library ends a message that it compresses by itself (RFC 7692, 7.2.1).
_EMPTY_BLOCK = b"\x00\x00\xff\xff"


def deflate_bits(extensions: list[Extension]) -> int:
    """The window for what we send, 0 where no compression was agreed."""
    for extension in extensions:
        if isinstance(extension, PerMessageDeflate):
            return extension.local_max_window_bits
    return 0


def text_frame(text: bytes, deflate_bits: int = 0) -> bytes:
    if not deflate_bits:
        return Frame(Opcode.TEXT, text).serialize(mask=False)
    compressor = zlib.compressobj(wbits=-deflate_bits, memLevel=5)
    data = compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)
    data = data.removesuffix(_EMPTY_BLOCK)
    return Frame(Opcode.TEXT, data, rsv1=True).serialize(mask=False)
