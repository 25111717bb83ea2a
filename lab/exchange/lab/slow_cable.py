"""A cable in which everything takes its time: two network interfaces, for kernels without netem.

What is sent into one comes out of the other so much later, in this process. It adds some 0.1 ms of
its own, and is for some thousands of packets a second.
"""

import fcntl
import os
import struct
import time
from queue import Queue
from threading import Thread

_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_FRAME_BYTES_MAX = 65_536
UNDER_WAY_MAX = 10_000
"""Of frames in one direction; what comes then waits in the kernel, which drops what is too much."""


def lay(one: str, other: str, delay_s: float) -> None:
    """Make both interfaces, in our own network; they end with this process."""
    ends = _end(one), _end(other)
    for source, target in (ends, ends[::-1]):
        under_way: Queue[tuple[float, bytes]] = Queue(UNDER_WAY_MAX)
        Thread(target=_take, args=(source, under_way, delay_s), daemon=True).start()
        Thread(target=_deliver, args=(target, under_way), daemon=True).start()


def _end(name: str) -> int:
    file = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    return file


def _take(source: int, under_way: Queue[tuple[float, bytes]], delay_s: float) -> None:
    while True:
        try:
            frame = os.read(source, _FRAME_BYTES_MAX)
        except OSError:
            return  # The network that it led to has ended.
        under_way.put((time.monotonic() + delay_s, frame))


def _deliver(target: int, under_way: Queue[tuple[float, bytes]]) -> None:
    while True:
        due, frame = under_way.get()
        # This is the way that it takes: frames of one direction are under way together.
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            os.write(target, frame)
        except OSError:
            continue  # Nobody has plugged it in yet, or any more: it is lost, as it would be.
