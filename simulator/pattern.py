"""A test pattern with SYNTHETIC burnt into it, so that no image of the simulator is ever taken for a patient's."""

from __future__ import annotations

from functools import lru_cache
from math import isqrt

_FONT = {
    "S": ("01111", "10000", "10000", "01110", "00001", "00001", "11110"),
    "Y": ("10001", "10001", "01010", "00100", "00100", "00100", "00100"),
    "N": ("10001", "11001", "10101", "10011", "10001", "10001", "10001"),
    "T": ("11111", "00100", "00100", "00100", "00100", "00100", "00100"),
    "H": ("10001", "10001", "10001", "11111", "10001", "10001", "10001"),
    "E": ("11111", "10000", "10000", "11110", "10000", "10000", "11111"),
    "I": ("01110", "00100", "00100", "00100", "00100", "00100", "01110"),
    "C": ("01111", "10000", "10000", "10000", "10000", "10000", "01111"),
    "0": ("01110", "10001", "10011", "10101", "11001", "10001", "01110"),
    "1": ("00100", "01100", "00100", "00100", "00100", "00100", "01110"),
    "2": ("01110", "10001", "00001", "00110", "01000", "10000", "11111"),
    "3": ("11110", "00001", "00001", "01110", "00001", "00001", "11110"),
    "4": ("00010", "00110", "01010", "10010", "11111", "00010", "00010"),
    "5": ("11111", "10000", "11110", "00001", "00001", "10001", "01110"),
    "6": ("01110", "10000", "10000", "11110", "10001", "10001", "01110"),
    "7": ("11111", "00001", "00010", "00100", "01000", "01000", "01000"),
    "8": ("01110", "10001", "10001", "01110", "10001", "10001", "01110"),
    "9": ("01110", "10001", "10001", "01111", "00001", "00001", "01110"),
}
_GLYPH_WIDTH = 6
_GLYPH_HEIGHT = 7


class Frame:
    """A grey image, row by row; ``depth`` is bits stored, pixels take one byte up to 8 and two beyond."""

    def __init__(self, rows: int, columns: int, depth: int) -> None:
        self.rows, self.columns, self.depth = rows, columns, depth
        self.pixel = 1 if depth <= 8 else 2
        self.white = (1 << depth) - 1
        ramp = b"".join(self._value(self.white * x // (columns * 2)) for x in range(columns))
        self.data = bytearray(ramp * rows)

    def _value(self, value: int) -> bytes:
        return value.to_bytes(self.pixel, "little")

    def span(self, y: int, start: int, stop: int, value: int) -> None:
        """Paint a part of a row; what lies outside the image is left out."""
        start, stop = max(start, 0), min(stop, self.columns)
        if 0 <= y < self.rows and start < stop:
            offset = y * self.columns
            self.data[(offset + start) * self.pixel : (offset + stop) * self.pixel] = self._value(value) * (
                stop - start
            )

    def disc(self, y: int, x: int, radius: int, value: int) -> None:
        for row in range(-radius, radius + 1):
            half = isqrt(radius * radius - row * row)
            self.span(y + row, x - half, x + half + 1, value)

    def text(self, y: int, x: int, scale: int, text: str) -> None:
        for position, character in enumerate(text):
            for row, bits in enumerate(_FONT[character]):
                for column, bit in enumerate(bits):
                    if bit == "1":
                        left = x + (position * _GLYPH_WIDTH + column) * scale
                        for line in range(scale):
                            self.span(y + row * scale + line, left, left + scale, self.white)


@lru_cache(maxsize=64)
def frame(rows: int, columns: int, depth: int, number: int, total: int) -> bytes:
    """Return image ``number`` of ``total``, from 1: a ramp, a disc that grows and shrinks, a wedge, and the mark."""
    picture = Frame(rows, columns, depth)
    white, size = picture.white, min(rows, columns)
    grow = 1 - abs(2 * (number - 0.5) / total - 1)
    picture.disc(rows // 2, columns // 2, int(size * (0.15 + 0.2 * grow)), white * 5 // 8)
    picture.disc(rows // 2, columns // 2, int(size * 0.1 * (1 - grow)) + 2, white // 4)
    for step in range(8):  # a wedge to set the window by
        for y in range(rows - rows // 12, rows):
            picture.span(y, columns * step // 8, columns * (step + 1) // 8, white * step // 7)
    scale = max(columns // (len("SYNTHETIC") * _GLYPH_WIDTH * 3 // 2), 1)
    mark = _GLYPH_HEIGHT * scale
    picture.text(mark // 2, scale * 2, scale, "SYNTHETIC")
    picture.text(mark * 2, scale * 2, scale, str(number))
    return bytes(picture.data)
