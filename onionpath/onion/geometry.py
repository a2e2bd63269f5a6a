"""Every size of the native format, derived from the number of hops and the two class sizes.

Spec: docs/specs/onion-native.md §2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from onionpath.crypto.hybrid import SEAL_OVERHEAD
from onionpath.errors import UsageError

FRAME_HEADER_SIZE = 16
HEAD_SIZE = 80
LAYER_OVERHEAD = SEAL_OVERHEAD + HEAD_SIZE  # 1,216 bytes that each request layer adds
REPLY_HEAD_SIZE = 20
REPLY_OVERHEAD = 12 + REPLY_HEAD_SIZE + 16  # 48 bytes that each reply layer adds: nonce, head, tag
MIN_HOPS, MAX_HOPS = 2, 5


class SizeClass(IntEnum):
    """The two sizes that a frame may have."""

    SMALL = 0
    LARGE = 1


@dataclass(frozen=True, slots=True)
class Geometry:
    """The sizes of one network; all in bytes.

    Args:
        hops: relays on a path, 2 to 5, the same for everybody in the network.
        small, large: size of a frame of each class, its 16-byte header included.

    Raises:
        UsageError: the classes cannot hold a body at that many hops.
    """

    hops: int = 3
    small: int = 8 * 1024
    large: int = 128 * 1024
    # Every size by class and depth, worked out once: relays look several of them up for each packet.
    _requests: tuple[tuple[int, ...], ...] = field(init=False, repr=False, compare=False)
    _replies: tuple[tuple[int, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not MIN_HOPS <= self.hops <= MAX_HOPS:
            raise UsageError(f"a path has {MIN_HOPS} to {MAX_HOPS} hops, not {self.hops}")
        if not FRAME_HEADER_SIZE + LAYER_OVERHEAD * self.hops < self.small < self.large:
            raise UsageError(f"frames of {self.small} and {self.large} bytes cannot carry {self.hops} layers")
        bodies = [self.small - FRAME_HEADER_SIZE, self.large - FRAME_HEADER_SIZE]
        depths = range(self.hops + 1)
        requests = tuple(tuple(body - LAYER_OVERHEAD * depth for depth in depths) for body in bodies)
        replies = tuple(tuple(body - REPLY_OVERHEAD * depth for depth in depths) for body in bodies)
        object.__setattr__(self, "_requests", requests)
        object.__setattr__(self, "_replies", replies)

    def frame_size(self, size_class: SizeClass) -> int:
        """The size of a frame on every link, header included."""
        return self.large if size_class else self.small

    def request_layer_size(self, size_class: SizeClass, depth: int) -> int:
        """The sealed layer that the relay at ``depth`` (0 is the first) receives."""
        return self._requests[size_class][depth]

    def request_capacity(self, size_class: SizeClass, depth: int) -> int:
        """The longest body for the service at ``depth``."""
        return self._requests[size_class][depth + 1]

    def reply_layer_size(self, size_class: SizeClass, depth: int) -> int:
        """The sealed reply that the relay at ``depth`` sends back."""
        return self._replies[size_class][depth]

    def reply_capacity(self, size_class: SizeClass, depth: int) -> int:
        """The longest reply of the service at ``depth``."""
        return self._replies[size_class][depth + 1]

    @property
    def last_depth(self) -> int:
        """The depth of the relay that serves."""
        return self.hops - 1
