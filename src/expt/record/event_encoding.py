"""The encoding of TensorBoard's event files, many scalars at once.

An event file is a sequence of records: the length of the data as a little-endian uint64, its
checksum, the data, its checksum. The data is an `Event` protocol buffer. The checksum is a masked
CRC-32C; see `tensorflow/core/lib/io/record_writer.h` and `lib/hash/crc32c.h`.

Events with the same metrics differ only in the bytes of step, time and values. So one event is
encoded with protobuf, and the others are copies of its bytes with these replaced by NumPy.
"""

import struct
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.summary_pb2 import Summary

_Checksums = NDArray[np.uint32]

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, with the bits reversed
_MASK_DELTA = 0xA282EAD8
_HEADER, _TRAILER = 12, 4  # bytes before and after the data of a record
_STATE = 4  # bytes of a checksum
_PIECE = 256  # bytes; a checksum of long data is computed in pieces of this size, in parallel
# Keys of the fields of `Event`: the number of the field, and the type of its value.
_WALL_TIME, _STEP, _SUMMARY = b"\x09", b"\x10", b"\x2a"


def frame(data: bytes) -> bytes:
    """Returns the record of an event that is encoded already."""
    length = struct.pack("<Q", len(data))
    checksums = (_masked(np.array([crc32c(part)], np.uint32)) for part in (length, data))
    return length + next(checksums) + data + next(checksums)


def encode_scalars(
    steps: NDArray[np.int64],
    times: NDArray[np.float64],
    columns: Mapping[str, NDArray[np.float32]],
) -> bytes:
    """Returns the records of one event per step, with all values of the step.

    Args:
        steps: Shape [events]; not empty and not negative.
        times: Seconds since 1970, shape [events].
        columns: The values by tag, each of shape [events].
    """
    step_bytes = _varints(steps)
    template = _template(step_bytes.shape[1], tuple(columns))
    parts = [times.astype("<f8"), *(column.astype("<f4") for column in columns.values())]
    replaced = [part.reshape(-1, 1).view(np.uint8) for part in parts]
    rows = np.empty((len(steps), len(template.record)), np.uint8)
    rows[:] = np.frombuffer(template.record, np.uint8)
    checksums = np.full(len(steps), template.checksum, np.uint32)
    # A checksum is linear: the template has zeros at these places, so each byte there changes the
    # checksum by the contribution of its value at its distance from the end.
    end = len(template.record) - _TRAILER
    contributions = _contributions(-(-end // _PIECE) * _PIECE)
    for place, part in zip(template.places, [step_bytes, *replaced], strict=True):
        for position, column in enumerate(part.T, start=place):
            rows[:, position] = column
            checksums ^= contributions[end - position - 1][column]
    rows[:, end:] = np.frombuffer(_masked(checksums), np.uint8).reshape(-1, _TRAILER)
    return rows.tobytes()


class _Template(NamedTuple):
    """The record of an event whose step, time and values are zeros.

    Attributes:
        record: The record.
        places: The positions of the step, the time and each value in the record.
        checksum: The checksum of the event.
    """

    record: bytes
    places: Sequence[int]
    checksum: int


@lru_cache(maxsize=256)
def _template(step_size: int, tags: tuple[str, ...]) -> _Template:
    values = [
        Summary(value=[Summary.Value(tag=tag, simple_value=0.0)]).SerializeToString()
        for tag in tags
    ]
    size = bytes(_varints(np.array([sum(map(len, values))])).ravel())
    head = _STEP + bytes(step_size) + _WALL_TIME + bytes(8) + _SUMMARY + size
    step = _HEADER + len(_STEP)
    _, *ends = accumulate(map(len, values), initial=_HEADER + len(head))
    # The float is the last field of a value.
    places = [step, step + step_size + len(_WALL_TIME), *(end - 4 for end in ends)]
    data = head + b"".join(values)
    return _Template(frame(data), places, crc32c(data))


def _varints(numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Returns integers in protobuf's encoding, 7 bits a byte, all of the length of the longest.

    The high bit of a byte means that another one follows; in the others, it may be followed by
    zeros.

    Returns:
        Shape [numbers, bytes].
    """
    size = max(1, -(-int(numbers.max()).bit_length() // 7))
    shifts = 7 * np.arange(size)
    encoded = (numbers[:, np.newaxis] >> shifts & 0x7F).astype(np.uint8)
    encoded[:, :-1] |= 0x80
    return encoded


def _masked(checksums: _Checksums) -> bytes:
    """Returns checksums in the form in which event files store them, 4 bytes each."""
    rotated = checksums >> 15 | checksums << 17
    return (rotated + np.uint32(_MASK_DELTA)).astype("<u4").tobytes()


def crc32c(data: bytes) -> int:
    """Returns the CRC-32C of bytes."""
    # Leading bytes are taken one by one, so that the rest is a whole number of pieces.
    first = len(data) % _PIECE
    state, contributions = 0xFFFFFFFF, _contributions(_PIECE)
    table = contributions[0].tolist()
    for byte in data[:first]:
        state = table[(state ^ byte) & 0xFF] ^ state >> 8
    pieces = np.frombuffer(data, np.uint8, offset=first).reshape(-1, _PIECE)
    checksums = np.zeros(len(pieces), np.uint32)
    for column, table_at in zip(pieces.T, contributions[::-1], strict=True):
        checksums ^= table_at[column]
    # Between pieces, the state acts like a change of the first four bytes of the next one.
    changes = contributions[: -_STATE - 1 : -1].tolist()
    for checksum in checksums.tolist():
        state_bytes = state.to_bytes(_STATE, "little")
        state = checksum
        for byte, change in zip(state_bytes, changes, strict=True):
            state ^= change[byte]
    return state ^ 0xFFFFFFFF


@cache
def _contributions(num_distances: int) -> NDArray[np.uint32]:
    """Returns by how much each value of a byte changes a checksum.

    Args:
        num_distances: The number of distances, a multiple of `_PIECE`.

    Returns:
        By the number of bytes that follow the byte, shape [num_distances, 256].
    """
    table: NDArray[np.uint32] = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = table >> np.uint32(1) ^ (table & np.uint32(1)) * np.uint32(_POLYNOMIAL)
    tables = [table]
    while len(tables) < num_distances:
        tables.append(tables[-1] >> 8 ^ table[tables[-1] & 0xFF])
    return np.stack(tables)
