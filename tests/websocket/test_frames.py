"""Frames are made without the library that reads them: they are what it would have made."""

import pytest
from websockets.frames import Frame, Opcode

from exchange.websocket.frames import split_frames, text_frame

SIZES = [0, 1, 125, 126, 65_535, 65_536]


@pytest.mark.parametrize("size", SIZES)
def test_a_text_of_any_size_is_one_frame(size: int) -> None:
    text = b"x" * size

    frame = text_frame(text)

    assert frame == Frame(Opcode.TEXT, text).serialize(mask=False)


@pytest.mark.parametrize("deflate_bits", [0, 12])
def test_frames_that_were_joined_come_apart_again(deflate_bits: int) -> None:
    frames = [text_frame(b"x" * size, deflate_bits) for size in SIZES]

    assert list(split_frames(b"".join(frames))) == frames
