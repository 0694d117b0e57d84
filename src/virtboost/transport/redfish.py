"""BIOS settings as a BMC's Redfish service tells them, read beside the host that they belong to.

Each attribute is a file of the capture, ``/virtboost/redfish/bios/NAME``, that holds its value as
JSON: a recording keeps and replays it like everything else.  Attributes that hold a secret or name
one machine are never kept; none of them tunes anything.

Source: DMTF DSP0266 and DSP0268, schema Bios.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from virtboost.transport.source import Capture, Files, Reader, Source

BIOS_SETTINGS = Files("/virtboost/redfish/bios", ("*",))
"""A file for each BIOS attribute: on no host, only in recordings and in what a BMC tells."""

_NAME = re.compile(r"\w[\w.:+\[\]-]{0,127}", re.ASCII)
_PRIVATE = re.compile(
    r"""(?ix)
    passw | pwd | secret | token | credential | private_?key
    | serial_?num | service_?tag | asset | uuid | guid | mac_?addr
    | ^(?:admin|service|server)(?:name|phone|email|otherinfo)"""
)
"""Secrets, what names one machine, and HPE's fields for names and addresses of people."""


class Bmc(Protocol):
    """A BMC that can be asked."""

    def bios_attributes(self) -> Mapping[str, object]:
        """Return every BIOS attribute by its name.

        Raises:
            TransportError: It cannot be reached, refuses the account, or tells no BIOS settings.
            InputError: Its address is not enough to know which system is meant.
        """
        ...


class RedfishReader:
    """Reads a host, and the BIOS settings that its BMC tells."""

    def __init__(self, reader: Reader, bmc: Bmc) -> None:
        """Read ``reader``'s host, of which ``bmc`` is the BMC."""
        self._reader = reader
        self._bmc = bmc

    @property
    def name(self) -> str:
        """What the user calls the host."""
        return self._reader.name

    def read(self, sources: Sequence[Source]) -> Capture:
        """Read all ``sources`` from the host, and the settings from its BMC."""
        settings = dict(_kept(self._bmc.bios_attributes()))
        capture = self._reader.read(sources)
        entries = dict(capture.sources())
        entries[BIOS_SETTINGS] = {BIOS_SETTINGS.directory: settings}
        return Capture(entries, dict(capture.commands()), capture.failures)


def _kept(attributes: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the name and the JSON of each attribute that may be kept, in the order of names."""
    for name, value in sorted(attributes.items()):
        plain = value is None or isinstance(value, str | int | float)
        if plain and _NAME.fullmatch(name) and not _PRIVATE.search(name):
            yield name, json.dumps(value)
