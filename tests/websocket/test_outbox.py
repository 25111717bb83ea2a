"""The order in which frames wait, and what they cost."""

from exchange.websocket.outbox import CHUNK_BYTES, Outbox


def test_frames_leave_in_their_order_and_in_chunks() -> None:
    outbox = Outbox()
    frames = [bytes([number]) * 30_000 for number in range(7)]
    for frame in frames:
        outbox.add(frame)

    chunks = []
    while outbox:
        chunks.append(outbox.take())

    assert [frame for chunk in chunks for frame in chunk] == frames
    assert [len(chunk) for chunk in chunks] == [3, 3, 1]
    assert outbox.waiting_bytes == 0


def test_what_fits_leaves_at_once() -> None:
    outbox = Outbox()
    outbox.add(b"one")
    outbox.add(b"two")

    assert outbox.take() == [b"one", b"two"]
    assert (len(outbox), outbox.waiting_bytes) == (0, 0)


def test_a_frame_larger_than_a_chunk_leaves_alone() -> None:
    outbox = Outbox()
    outbox.add(b"x" * (2 * CHUNK_BYTES))
    outbox.add(b"y")

    assert [len(outbox.take()), len(outbox.take())] == [1, 1]


def test_of_the_newest_only_the_last_of_each_name_is_lined_up() -> None:
    outbox = Outbox()
    outbox.add(b"trade")
    for name, frame in (("a", b"a1"), ("b", b"b1"), ("a", b"a2"), ("c", b"c1")):
        outbox.keep_newest(name, frame)
    outbox.forget_newest("c")
    assert outbox.waiting_bytes == len(b"trade")

    outbox.add_newest()

    assert outbox.take() == [b"trade", b"a2", b"b1"]
    outbox.add_newest()
    assert not outbox


def test_nothing_is_left_after_clearing() -> None:
    outbox = Outbox()
    outbox.add(b"x")
    outbox.keep_newest("a", b"y")

    outbox.clear()
    outbox.add_newest()

    assert (len(outbox), outbox.waiting_bytes) == (0, 0)
