"""Inputs without end for one target: from its corpus, damaged by place and by what the bytes mean.

No coverage is measured. What stands in for it: an input that is refused with a sentence not heard before stays and
is damaged further, so that a run works its way past one check after the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

from tests.fuzz.mutations import apply, draw

MAX_INPUT = 64 * 1024  # bytes: half of a large frame, and more than any small parser takes
MAX_KEPT = 256
MAX_SENTENCES = 4096
_WORD = re.compile(rb"[A-Za-z0-9_.+/~-]+")
_DIGITS = re.compile(r"\d+|'[^']*'|\"[^\"]*\"|`[^`]*`")
# What parsers of text trip over.
_ODD = (
    b"", b"0", b"-1", b"1e400", b"nan", b"inf", b"9" * 20, b"9" * 5000, b"true", b"null", b"{}", b"[]",
    b"[" * 2000, b'"' + b"a" * 300 + b'"', b"\xff\xfe", b"\0", b"\\u0000", b"\\ud800", "\u2028".encode(),
    b"~", b"~nobody/x", b"../..", b"%", b"%00", b"::ffff:1.2.3.4", b"0x7f.1", b"\r\n", b" ",
)  # fmt: skip


class Mutator:
    """Gives one input after the other; the same seed gives the same ones.

    Args:
        inputs: the target's corpus, at least one.
    """

    def __init__(self, inputs: Sequence[bytes], random: Random) -> None:
        self._random = random
        self._pool = list(inputs)
        self._fixed = len(self._pool)
        self._words = sorted({word for data in inputs for word in _WORD.findall(data)} | set(_ODD))[:4096]
        self._sentences: set[str] = set()
        self._ways: tuple[Callable[[bytes], bytes], ...] = (
            self._damaged, self._damaged, self._damaged, self._spliced, self._reworded, self._relined, self._junk,
        )  # fmt: skip

    def next(self) -> bytes:
        """The next input, at most 64 KiB or as long as the corpus has it."""
        random = self._random
        data = random.choice(self._pool)
        for _ in range(random.choice((1, 1, 2, 3))):
            data = random.choice(self._ways)(data)
        return data[: max(MAX_INPUT, len(self._pool[0]))]

    def heard(self, data: bytes, sentence: str) -> None:
        """How the last input ended; if no other ended so, it is kept and damaged further."""
        sentence = _DIGITS.sub("", sentence)[:200]
        if sentence in self._sentences or len(self._sentences) >= MAX_SENTENCES:
            return
        self._sentences.add(sentence)
        if len(self._pool) < self._fixed + MAX_KEPT:
            self._pool.append(data)
        else:
            self._pool[self._random.randrange(self._fixed, len(self._pool))] = data

    def _damaged(self, data: bytes) -> bytes:
        for _ in range(self._random.choice((1, 1, 1, 2, 4))):
            data = apply(data, draw(self._random))
        return data

    def _spliced(self, data: bytes) -> bytes:
        other = self._random.choice(self._pool)
        return data[: self._random.randrange(len(data) + 1)] + other[self._random.randrange(len(other) + 1) :]

    def _reworded(self, data: bytes) -> bytes:
        """One word or number of a text becomes another; of bytes, a run of letters does."""
        found = list(_WORD.finditer(data[:MAX_INPUT]))
        if not found:
            return self._damaged(data)
        word = self._random.choice(found)
        return data[: word.start()] + self._random.choice(self._words) + data[word.end() :]

    def _relined(self, data: bytes) -> bytes:
        """Lines dropped, doubled or exchanged."""
        lines = data.split(b"\n")
        one, two = (self._random.randrange(len(lines)) for _ in range(2))
        match self._random.randrange(3):
            case 0:
                del lines[one]
            case 1:
                lines.insert(two, lines[one])
            case _:
                lines[one], lines[two] = lines[two], lines[one]
        return b"\n".join(lines)

    def _junk(self, data: bytes) -> bytes:
        """Something else of about this size."""
        size = min(len(data), 512)
        return self._random.randbytes(self._random.randrange(size + 16))
