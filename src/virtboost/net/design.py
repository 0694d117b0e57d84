"""What a design declares: closed forms of its quantities, what it lacks, where it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import Struct

from virtboost.net.description import Want
from virtboost.net.figure import Figure
from virtboost.net.quantity import Unit
from virtboost.net.scale import Scale

Form = Callable[[Scale], Figure]
"""A quantity of a design by the size of the network."""

Plane = Literal["calico", "ovs", "ovn"]

Routing = Literal["mesh", "reflectors", "groups", "tor", "datastore", "controller", "ovn"]
"""How a node learns where the pods of others are: BGP with all, with some reflectors, with those of
its group of racks, with its top-of-rack switches; without BGP."""


class Encapsulation(Struct, frozen=True, kw_only=True):
    """What a packet between nodes gets in front."""

    name: Literal["none", "ipip", "vxlan", "geneve"]
    bytes: int = 0
    """Over IPv4; 20 more over IPv6."""
    always: bool = True
    """False: only between subnets."""


class Ceiling(Struct, frozen=True, kw_only=True):
    """A size at which a design, or what is known of it, ends."""

    what: str
    form: Form
    limit: float
    kind: Literal["hard", "tested", "setting"]
    """A network above it cannot have the design; nobody has shown that it can; or it can, with a
    setting changed."""
    unit: Unit = ""
    source: str
    """Key of ``source.SOURCES``; empty: the user's own limit."""
    remedy: str = ""
    """What raises it."""


class Design(Struct, frozen=True, kw_only=True):
    """A way to build a container network."""

    name: str
    title: str
    plane: Plane
    routing: Routing
    encapsulation: Encapsulation
    forms: Mapping[str, Form]
    """By key of ``quantity.QUANTITIES``; a quantity that is not there, the design has not."""
    lacks: Mapping[Want, str] = {}
    """Wants that it cannot fulfil, with the reason and its source."""
    ceilings: tuple[Ceiling, ...] = ()
    least_nodes: int = 1
    needs_offload: bool = False
    """Whether every NIC must take flows."""
    unknown: tuple[str, ...] = ()
    """What of its cost nobody measured."""
