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

# Every repetition that can fail late is bounded: a host may send megabytes of almost-secrets.
_UUID = re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b")
_MAC = re.compile(r"(?<![0-9a-fA-F:])(?:[0-9a-fA-F]{2}:){5,19}[0-9a-fA-F]{2}(?![0-9a-fA-F:])")
"""Also the longer hardware addresses of InfiniBand and world-wide names of storage."""
_IPV4 = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w.-]*\w)")
_IPV6 = re.compile(r"(?<![\w:.])(?=[0-9a-fA-F]{0,4}:)[0-9a-fA-F:.]{1,44}[0-9a-fA-F:](?![\w:])")
_SERIAL = re.compile(r"(?im)^([ \t]*(?:serial number|asset tag)[ \t]*:[ \t]*)(\S.*)$")
_SECRET_WORD = (
    r"(?:passw(?:or)?d|secret|token|credential|private[_-]?key|key[_-]data|api[_-]?key|\bpsk\b)"
)
_SECRET_LINE = re.compile(
    rf"(?im)^([ \t]*[\w.-]{{0,64}}{_SECRET_WORD}[\w.-]{{0,64}}[ \t]*[=:][ \t]*)"
    r"([^\s\"'].*?)(?=</|$)"
)
"""A line of a configuration file: all of the rest is the value, but for the end of an element."""
_SECRET = re.compile(
    rf"""(?ix)
    ( {_SECRET_WORD} [\w.-]{{0,64}}
      (?: ["']? [ \t]{{0,8}} [=:] [ \t]{{0,8}}
        | ["'] [ \t]{{0,8}} , [ \t]{{0,8}} (?=["'])
        | ["'] [ \t]{{1,8}} value= ) )
    (?: (["']) (?: (?!\2) [^\\\n] | \\. ){{0,4096}} \2 | [^\s,;}}&"'<>]+ )"""
)
"""A name that tells of a secret, and its value, in quotes (the second group) or not: also OVSDB's
``["psk","value"]`` and libvirt's ``name='TOKEN' value='...'``."""
_PEM = re.compile(r"(-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----).*?(-----END|\Z)", re.DOTALL)
_URL_PASSWORD = re.compile(r"(://[^\s:/@]{0,256}:)([^\s@/]{1,1024})(@)")
_NEXT_PASSWORD = re.compile(r"(@[^\s/@,]{1,256},[^\s:/@,]{0,256}:)([^\s@/]{1,1024})(?=@)")
"""oslo.messaging's URLs have a user and a password for each of several hosts."""

_REPLACED = {
    "uuid": "00000000-0000-0000-0000-",
    "mac": "02:00:00:",
    "ipv4": "198.18.",
    "ipv6": "2001:db8::",
}
"""How replacements begin: addresses kept for benchmarks (RFC 2544) and documents (RFC 3849)."""


def secret_name(name: str) -> bool:
    """Tell whether an option of this name holds a secret."""
    return re.search(_SECRET_WORD, name, re.IGNORECASE) is not None


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
        text = _PEM.sub(r"\1 REDACTED \2", _URL_PASSWORD.sub(r"\1REDACTED\3", text))
        text = _NEXT_PASSWORD.sub(r"\1REDACTED", text)
        text = _SECRET_LINE.sub(r"\1REDACTED", text)
        text = _SECRET.sub(r"\1\2REDACTED\2", text)
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
        prefix = _REPLACED[kind]

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
    return f"{_REPLACED['uuid']}{number:012x}"


def _mac(number: int) -> str:
    return _REPLACED["mac"] + number.to_bytes(3).hex(":")


def _ipv4(number: int) -> str:
    return _REPLACED["ipv4"] + "{}.{}".format(*divmod(number % 65536, 256))


def _ipv6(number: int) -> str:
    return f"{_REPLACED['ipv6']}{number:x}"
