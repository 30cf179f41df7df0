import struct
from collections.abc import Iterator

import numpy as np
import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from expt.record.event_encoding import crc32c, encode_scalars, frame

RANDOM = np.random.default_rng(0)


def _records(content: bytes) -> Iterator[bytes]:
    """Yields the data of all records; TensorBoard's code computes the checksums."""
    while content:
        header, content = content[:12], content[12:]
        length, checksum = struct.unpack("<QI", header)
        assert checksum == masked_crc32c(header[:8])
        data, content = content[:length], content[length:]
        assert struct.unpack("<I", content[:4]) == (masked_crc32c(data),)
        yield data
        content = content[4:]


@pytest.mark.parametrize(
    ("data", "expected"),
    [  # RFC 3720, appendix B.4, and the check value of the CRC's definition
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_checksums_of_the_standard(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 5000])
def test_framed_data_is_read_back(size: int) -> None:
    data = RANDOM.bytes(size)
    assert [*_records(frame(data))] == [data]


@pytest.mark.parametrize("first", [0, 100, 2**40])
@pytest.mark.parametrize("num_metrics", [1, 3, 90])
def test_events_are_read_back(first: int, num_metrics: int) -> None:
    steps = np.arange(first, first + 70)
    times = 1.7e9 + RANDOM.random(70)
    columns = {f"größe/{index}": RANDOM.normal(size=70) for index in range(num_metrics)}
    float32 = {tag: column.astype(np.float32) for tag, column in columns.items()}
    float32["größe/0"][:4] = np.nan, np.inf, -np.inf, 0
    events = [Event.FromString(data) for data in _records(encode_scalars(steps, times, float32))]
    assert [event.step for event in events] == steps.tolist()
    assert [event.wall_time for event in events] == times.tolist()
    for index, (tag, column) in enumerate(float32.items()):
        found = [event.summary.value[index] for event in events]
        assert {value.tag for value in found} == {tag}
        np.testing.assert_array_equal([value.simple_value for value in found], column)
