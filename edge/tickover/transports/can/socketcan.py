"""SocketCAN through Python's own sockets: no library, kernel time stamps, kernel filters.

The framing (``struct can_frame`` of 16 bytes, ``canfd_frame`` of 72) is the same on any datagram socket, which is how
tests run without a bus.
"""

import socket
import struct
import time
from collections.abc import Sequence
from typing import Final

from tickover.transports.can.base import Filter, Frame

CLASSIC: Final = struct.Struct("=IB3x8s")
FD: Final = struct.Struct("=IB3x64s")
FILTER: Final = struct.Struct("=II")
RECEIVE_BYTES: Final = 1 << 20
"""What the kernel may keep for us: a second of a full bus."""
BATCH: Final = 512
"""Frames taken at once."""
MAX_FILTERS: Final = 512
"""The kernel's limit (CAN_RAW_FILTER_MAX); with more signals than that, all frames are taken."""

# Numbers of linux/can/raw.h and asm-generic/socket.h that Python does not name everywhere.
_SOL_CAN_RAW, _CAN_RAW_FILTER, _CAN_RAW_ERR_FILTER, _CAN_RAW_FD_FRAMES = 101, 1, 2, 5
_ALL_ERRORS: Final = 0x1FFF_FFFF
_SO_TIMESTAMPNS, _SO_RXQ_OVFL = 35, 40
_TIMESPEC: Final = struct.Struct("@ll")
_ANCILLARY: Final = socket.CMSG_SPACE(_TIMESPEC.size) + socket.CMSG_SPACE(4)


def open_socket(channel: str, filters: Sequence[Filter]) -> "SocketPort":
    """The interface ``channel``; OSError when it is not there or no CAN interface."""
    handle = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    try:
        if 0 < len(filters) <= MAX_FILTERS:
            packed = b"".join(FILTER.pack(*one) for one in filters)
            handle.setsockopt(_SOL_CAN_RAW, _CAN_RAW_FILTER, packed)
        handle.setsockopt(_SOL_CAN_RAW, _CAN_RAW_ERR_FILTER, struct.pack("=I", _ALL_ERRORS))
        _try_option(handle, _SOL_CAN_RAW, _CAN_RAW_FD_FRAMES, 1)
        handle.bind((channel,))
        return SocketPort(handle)
    except OSError:
        handle.close()
        raise


def _try_option(handle: socket.socket, level: int, option: int, value: int) -> None:
    """Set what a kernel or socket may not have."""
    try:
        handle.setsockopt(level, option, value)
    except OSError:
        return  # without it the daemon works: no FD frames, no kernel stamps, no count of drops


class SocketPort:
    """An open socket whose datagrams are frames."""

    def __init__(self, handle: socket.socket) -> None:
        self._socket = handle
        self.dropped = 0
        _try_option(handle, socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        _try_option(handle, socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        _try_option(handle, socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)

    def receive(self, timeout: float) -> list[Frame]:
        """Frames that are there, waiting for the first."""
        self._socket.settimeout(timeout)
        frames: list[Frame] = []
        try:
            while len(frames) < BATCH:
                data, ancillary, _, _ = self._socket.recvmsg(FD.size, _ANCILLARY)
                if not data:
                    raise ConnectionResetError("the other end closed")
                frame = self._frame(data, ancillary)
                if frame is not None:
                    frames.append(frame)
                self._socket.setblocking(False)
        except (BlockingIOError, TimeoutError):
            pass  # no more at present
        return frames

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _frame(self, data: bytes, ancillary: list[tuple[int, int, bytes]]) -> Frame | None:
        layout = {CLASSIC.size: CLASSIC, FD.size: FD}.get(len(data))
        if layout is None:
            return None
        key, length, payload = layout.unpack(data)
        stamp = time.time_ns() // 1000
        for level, kind, body in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(body) >= _TIMESPEC.size:
                seconds, nanoseconds = _TIMESPEC.unpack_from(body)
                stamp = seconds * 1_000_000 + nanoseconds // 1000
            elif (level, kind) == (socket.SOL_SOCKET, _SO_RXQ_OVFL) and len(body) >= 4:
                self.dropped = int.from_bytes(body[:4], "little")
        return Frame(stamp, key, payload[:length])
