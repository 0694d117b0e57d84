"""Host text is hostile: nothing in it may steer a terminal."""

from __future__ import annotations

import unicodedata


def printable(text: str, limit: int = 4096) -> str:
    r"""Return ``text`` on one line with every control or format character as ``\x1b``.

    Bidirectional overrides and other characters that do not show are format characters too.
    """
    shown = "".join(_shown(character) for character in text[:limit])
    return shown if len(text) <= limit else f"{shown}..."


def _shown(character: str) -> str:
    if character == " " or unicodedata.category(character)[0] not in "CZ":
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
