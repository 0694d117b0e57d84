"""Take out of a capture what identifies a machine or opens it.

Serial numbers, UUIDs, MAC addresses, public IP addresses and secrets in configuration files are
replaced.  Equal values get equal replacements, so that relations survive, and a replaced value is
left as it is, so that a redacted recording replays to the same host.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from virtboost.transport.source import Capture, Command, Entries, Files, Links, Output

_UUID = re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b")
_MAC = re.compile(r"(?<![0-9a-fA-F:])(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}(?![0-9a-fA-F:])")
_IPV4 = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w.-]*\w)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9a-fA-F]{1,4}:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*[0-9a-fA-F](?![\w:])")
_SERIAL = re.compile(r"(?im)^(\s*(?:serial number|asset tag)\s*:[ \t]*)(\S.*)$")
_SECRET = re.compile(
    r"""(?imx)
    ( (?<![\w-]) [\w.-]*
      (?: passw(?:or)?d | secret | token | credential | private[_-]?key | api[_-]?key ) [\w.-]*
      ["']? \s* [=:] \s* )
    ( "[^"\n]*" | '[^'\n]*' | [^\s,;}&]+ )"""
)
_URL_PASSWORD = re.compile(r"(\w+://[^\s:/@]*:)([^\s@]+)(@)")


class Redactor:
    """Replaces what must not leave a machine, the same value always in the same way."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._seen: dict[str, dict[str, str]] = {"uuid": {}, "mac": {}, "ipv4": {}, "ipv6": {}}

    def capture(self, capture: Capture) -> Capture:
        """Return ``capture`` with every text redacted but those of sysfs.

        Of sysfs only attributes that identify nothing are ever read, and a version of firmware such
        as ``1.2.3.4`` looks like an address.
        """
        entries: dict[Files | Links, Entries] = {}
        for source, found in capture.sources():
            chosen = isinstance(source, Links) or source.directory.startswith("/sys/")
            entries[source] = found if chosen else self._entries(found)
        outputs: dict[Command, tuple[Output, ...]] = {
            command: tuple(
                Output(status=o.status, stdout=self.text(o.stdout), stderr=self.text(o.stderr))
                for o in outputs
            )
            for command, outputs in capture.commands()
        }
        return Capture(entries, outputs, capture.failures)

    def text(self, text: str) -> str:
        """Return one text, redacted."""
        if len(text) < 8:
            return text
        text = _SECRET.sub(r"\1REDACTED", _URL_PASSWORD.sub(r"\1REDACTED\3", text))
        text = _SERIAL.sub(r"\1REDACTED", text)
        text = _UUID.sub(self._numbered("uuid", _uuid), text)
        text = _MAC.sub(self._numbered("mac", _mac), text)
        text = _IPV4.sub(self._public("ipv4", _ipv4), text)
        return _IPV6.sub(self._public("ipv6", _ipv6), text)

    def _entries(self, entries: Entries) -> Entries:
        return {
            directory: {name: self.text(text) for name, text in texts.items()}
            for directory, texts in entries.items()
        }

    def _numbered(self, kind: str, form: Callable[[int], str]) -> Callable[[re.Match[str]], str]:
        seen = self._seen[kind]
        prefix = form(0)[:-2]

        def replace(match: re.Match[str]) -> str:
            value = match[0].lower()
            return value if value.startswith(prefix) else seen.setdefault(value, form(len(seen)))

        return replace

    def _public(self, kind: str, form: Callable[[int], str]) -> Callable[[re.Match[str]], str]:
        numbered = self._numbered(kind, form)

        def replace(match: re.Match[str]) -> str:
            try:
                public = ipaddress.ip_address(match[0]).is_global
            except ValueError:
                return match[0]
            return numbered(match) if public else match[0]

        return replace


def _uuid(number: int) -> str:
    return f"00000000-0000-0000-0000-{number:012x}"


def _mac(number: int) -> str:
    return "02:00:00:{:02x}:{:02x}:{:02x}".format(*number.to_bytes(3))


def _ipv4(number: int) -> str:
    """Return an address kept for benchmarks (RFC 2544), which routes nowhere."""
    return "198.18.{}.{}".format(*divmod(number, 256))


def _ipv6(number: int) -> str:
    """Return an address kept for documentation (RFC 3849)."""
    return f"2001:db8::{number:x}"
