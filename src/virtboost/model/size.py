"""Sizes as people write them: ``64 GiB``."""

from __future__ import annotations

import re

_UNITS = {
    "": 1,
    "B": 1,
    **{letter: 1 << 10 * power for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}iB": 1 << 10 * power for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)},
}
_FORM = re.compile(r"\s*(\d{1,15})(?:\.(\d{1,6}))?\s*([KMGTkmgt]?(?:i?B)?)\s*")


class Size(int):
    """A number of bytes that a person writes with its unit."""

    @classmethod
    def parse(cls, text: str) -> Size:
        """Read ``64 GiB``, ``1.5G`` (binary, as libvirt and QEMU have it) or ``2 GB`` (decimal).

        Raises:
            ValueError: It is no size, is not positive, or is not a whole number of bytes.
        """
        match = _FORM.fullmatch(text)
        unit = None if match is None else match[3][:1].upper() + match[3][1:]
        if match is None or unit not in _UNITS:
            raise ValueError(f"{text[:40]!r} is not a size such as 64GiB")
        whole, fraction = match[1], match[2] or ""
        amount, rest = divmod(int(whole + fraction) * _UNITS[unit], 10 ** len(fraction))
        if rest or amount <= 0:
            raise ValueError(f"{text[:40]!r} is not a positive whole number of bytes")
        return cls(amount)
