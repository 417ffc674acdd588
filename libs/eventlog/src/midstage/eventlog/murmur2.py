"""The partition of a key, as Java's producer and librdkafka's ``murmur2_random`` choose it."""

from struct import Struct

_SEED = 0x9747B28C
_M = 0x5BD1E995
_R = 24
_WORD = 0xFFFFFFFF
_POSITIVE = 0x7FFFFFFF
_WORDS = tuple(Struct(f"<{words}I").unpack_from for words in range(64))
"""Keys are rarely longer than so many words."""


def partition_of(key: bytes, partitions: int) -> int:
    """The number of the partition that takes ``key``."""
    return (murmur2(key) & _POSITIVE) % partitions


def murmur2(data: bytes) -> int:
    """Austin Appleby's MurmurHash2, 32 bit, with the seed that Kafka uses."""
    words, rest = divmod(len(data), 4)
    mixed = (_SEED ^ len(data)) & _WORD
    unpack = _WORDS[words] if words < len(_WORDS) else Struct(f"<{words}I").unpack_from
    for each in unpack(data):
        word = each * _M & _WORD
        mixed = mixed * _M & _WORD ^ (word ^ word >> _R) * _M & _WORD
    if rest:
        mixed = (mixed ^ int.from_bytes(data[-rest:], "little")) * _M & _WORD
    mixed = (mixed ^ mixed >> 13) * _M & _WORD
    return mixed ^ mixed >> 15
