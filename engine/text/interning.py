"""Pre-tokens interned: what stands between blanks gets a number, the same for the same. It is the
fast first step of tokenizers whose tokens never cross a blank, because then each different
pre-token of the text need be looked at only once.

All of it is done by numpy, a stretch of text at a time. Eight bytes of a pre-token are a 64-bit
key, and a longer one is a chain of keys, so that no two can ever be taken for one.
"""

import secrets

import numpy as np

WORD = 8
"""Bytes of a key."""
LONGEST = 4 * WORD
"""Bytes of a pre-token; those that reach it are few, and looked up one by one."""

_ONES = np.uint64(0x0101010101010101)
_HIGH_BITS = np.uint64(0x8080808080808080)
_CHAIN, _LONG = np.uint64(0xFF << 56), np.uint64(0xFE << 56)
"""Mark the keys that aren't bytes of a text: no UTF-8 has these."""
_HALF = 28
"""Bits of each of the two numbers in a chain's key."""


class PreTokens:
    """A text in UTF-8, which has no NUL, cut into pre-tokens: each run of characters without space,
    tab and line end is one, and each line end."""

    def __init__(self, text: bytes) -> None:
        values = np.frombuffer(text + b" " * (2 * WORD - len(text) % WORD), np.uint8)
        line_end = values == ord("\n")
        between = values == ord(" ")
        between |= values == ord("\t")
        between |= line_end
        first = ~between
        self._data: bytes = (values * first).tobytes()  # zero between the pre-tokens
        first[1:] &= between[:-1]
        first |= line_end
        self._words = np.frombuffer(self._data, np.uint64)
        starts = np.flatnonzero(first)
        self.heads, longer = self._keys(starts)
        """The first eight bytes of each pre-token: uint64, 1-D."""
        self.heads[self.heads == 0] = ord("\n")
        self.tails: list[tuple[np.ndarray, np.ndarray]] = []
        """The next eight bytes, and so on up to LONGEST: which have more, and their keys."""
        rows = np.flatnonzero(longer)
        starts = starts[rows]
        for _ in range(WORD, LONGEST, WORD):
            starts += WORD
            keys, longer = self._keys(starts)
            self.tails.append((rows, keys))
            rows, starts = rows[longer], starts[longer]
        self.long_rows, self.long = (
            rows,
            [self._pretoken(start - LONGEST + WORD) for start in starts.tolist()],
        )
        """Which pre-tokens are LONGEST bytes or more, and all of their bytes."""

    def _keys(self, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The eight bytes from each of `starts`, without what follows the end of the pre-token, and
        whether that is still to come: uint64 and bool, 1-D."""
        keys = self._words_at(starts)
        ended = keys - _ONES
        ended &= ~keys
        ended &= _HIGH_BITS  # the lowest bit is that of the first zero
        inside = ended - np.uint64(1)
        inside ^= ended
        keys &= inside
        return keys, ended == 0

    def _words_at(self, starts: np.ndarray) -> np.ndarray:
        """Eight bytes from each of `starts`, out of two of the words they lie in: numpy would copy
        all of the text to read words that are not aligned."""
        places = starts >> 3
        shifts = ((starts & 7) << 3).view(np.uint64)
        words: np.ndarray = self._words.take(places)
        words >>= shifts
        places += 1
        rest = self._words.take(places)
        rest <<= np.subtract(np.uint64(64), shifts, out=shifts)  # a shift by 64 gives 0
        words |= rest
        return words

    def _pretoken(self, start: int) -> bytes:
        return self._data[start : self._data.index(b"\0", start)]


class Interner:
    """The different pre-tokens of a text, numbered."""

    def __init__(self) -> None:
        self._keys = _Keys()
        self._parts = _Keys()
        self._long: dict[bytes, int] = {}
        self.long_size = 0
        """Bytes of the pre-tokens that are looked up one by one."""

    @property
    def end(self) -> int:
        """The next number to be given. Some of those below are of beginnings only, which no
        pre-token has."""
        return self._keys.end

    def intern(self, pretokens: PreTokens) -> np.ndarray:
        """The numbers of the pre-tokens of a text, in its order: int64, 1-D."""
        numbers = self._keys.intern(pretokens.heads)
        for rows, keys in pretokens.tails:
            pairs = numbers.take(rows) << _HALF | self._parts.intern(keys)
            numbers[rows] = self._keys.intern(pairs.view(np.uint64) | _CHAIN)
        if pretokens.long:
            keys = np.array(list(map(self._intern_long, pretokens.long)), np.uint64) | _LONG
            numbers[pretokens.long_rows] = self._keys.intern(keys)
        return numbers

    def _intern_long(self, pretoken: bytes) -> int:
        known = len(self._long)
        number = self._long.setdefault(pretoken, known)
        if number == known:
            self.long_size += len(pretoken)
        return number

    def texts(self) -> list[str]:
        """The pre-token of each number below `end`, or the beginning of one."""
        keys = self._keys.all()
        mark = keys >> np.uint64(56)
        found, parts, long = _texts(keys), _texts(self._parts.all()), list(self._long)
        for number in np.flatnonzero(mark == 0xFE).tolist():
            found[number] = long[int(keys[number] ^ _LONG)]
        chained = np.flatnonzero(mark == 0xFF)
        pairs = (keys[chained] ^ _CHAIN).astype(np.int64)
        befores, afters = (pairs >> _HALF).tolist(), (pairs & ((1 << _HALF) - 1)).tolist()
        for number, before, after in zip(chained.tolist(), befores, afters, strict=True):
            found[number] = found[before] + parts[after]
        return b"\0".join(found).decode("utf-8", "replace").split("\0")


def _texts(keys: np.ndarray) -> list[bytes]:
    """The bytes of each key that stands for some."""
    texts: list[bytes] = keys.view(f"S{WORD}").tolist()  # which drops the zeros at the end
    return texts


class _Keys:
    """Different 64-bit keys, numbered; 0 has the number 0. A hash table with open addressing,
    searched for many keys at once."""

    def __init__(self) -> None:
        self.end = 1
        self._keys = np.zeros(1 << 12, np.uint64)  # by number
        # Keys made to collide under one factor don't under another.
        self._factor = np.uint64(secrets.randbits(64) | 1)
        self._slots = np.zeros(0, np.uint32)  # numbers; 0 where a slot is free
        self._make_room(1 << 15)

    def all(self) -> np.ndarray:
        """The key of each number below `end`: uint64, 1-D."""
        keys: np.ndarray = self._keys[: self.end]
        return keys

    def intern(self, keys: np.ndarray) -> np.ndarray:
        """The number of each of `keys` (uint64, 1-D), new ones included: int64, 1-D."""
        places = self._places(keys)
        numbers: np.ndarray = self._slots.take(places).astype(np.int64)
        wrong = np.flatnonzero(self._keys.take(numbers) != keys)
        if self._make_room(len(wrong)):
            return self.intern(keys)
        while len(wrong):
            free = wrong[numbers[wrong] == 0]
            if len(free):
                self._add(keys[free], places[free])
                numbers[free] = self._slots[places[free]]
                wrong = wrong[self._keys[numbers[wrong]] != keys[wrong]]
            places[wrong] = self._after(places[wrong])
            numbers[wrong] = self._slots[places[wrong]]
            wrong = wrong[self._keys[numbers[wrong]] != keys[wrong]]
        return numbers

    def _add(self, keys: np.ndarray, places: np.ndarray) -> None:
        """Number `keys`, which are new, and put them into these slots, which are free. Of several
        for one slot, equal or not, one is taken."""
        order = np.arange(len(places))
        self._slots[places] = order
        taken = self._slots[places] == order
        numbers = np.arange(self.end, self.end + np.count_nonzero(taken))
        self._slots[places[taken]] = numbers
        self._keys[numbers] = keys[taken]
        self.end += len(numbers)

    def _make_room(self, count: int) -> bool:
        """See to it that there is room for so many more; whether anything had to be moved."""
        most = self.end + count
        if most > len(self._keys):
            self._keys = np.append(self._keys, np.zeros(2 * most, np.uint64))
        if 2 * most <= len(self._slots):
            return False
        self._slots = np.zeros(1 << (4 * most).bit_length(), np.uint32)
        self._shift = np.uint64(64 - (len(self._slots) - 1).bit_length())
        numbers = np.arange(1, self.end)
        places = self._places(self._keys[numbers])
        while len(numbers):
            free = self._slots[places] == 0
            self._slots[places[free]] = numbers[free]  # of several for one slot the last stays
            left = self._slots[places] != numbers
            numbers, places = numbers[left], self._after(places[left])
        return True

    def _places(self, keys: np.ndarray) -> np.ndarray:
        """The slot to look into first."""
        places = keys * self._factor
        places >>= self._shift
        return places.view(np.int64)

    def _after(self, places: np.ndarray) -> np.ndarray:
        after: np.ndarray = (places + 1) & (len(self._slots) - 1)
        return after
