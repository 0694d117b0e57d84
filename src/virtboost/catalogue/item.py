"""What a tuning item is: one declaration that the check, the help and the reference page read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from virtboost.catalogue.wanted import Wanted
from virtboost.model.change import Change
from virtboost.model.finding import Severity
from virtboost.model.host import Host

T = TypeVar("T")

Layer = Literal["bios", "kernel", "host", "guest", "container", "network", "cluster"]

Platform = Literal["kvm", "docker", "openstack", "kubernetes", "ovirt", "ovs"]

Effectiveness = Literal["live", "guest restart", "container restart", "service restart", "reboot"]


class Ok(Struct, frozen=True):
    """The item is met."""

    found: str


class Wrong(Struct, frozen=True):
    """The item is not met."""

    found: str
    wanted: str
    reason: str
    changes: tuple[Change, ...] = ()


class NotApplicable(Struct, frozen=True):
    """The item means nothing here."""

    why: str


class Unknown(Struct, frozen=True):
    """It cannot be told."""

    missing: str


Outcome = Ok | Wrong | NotApplicable | Unknown


class Subjects(Struct, Generic[T], frozen=True, kw_only=True):
    """What an item looks at, one after the other."""

    kind: str
    """``host``, ``guest``, ``interface``; with the name, the ``object`` of a result."""
    select: Callable[[Host], Sequence[tuple[str, T]]]
    """(name, thing) of each; the name is empty for the host itself."""
    none: str
    """Why the item does not apply where there are none."""
    gap: str | None = None
    """The gap that would hide them: with it, none of them means *cannot tell*."""


class Condition(Struct, frozen=True, kw_only=True):
    """Something without which an item means nothing on a host."""

    when: str
    """``some guest is pinned``: what must hold, for the item's page."""
    otherwise: str
    """``no guest is pinned``: why the item does not apply where it does not hold."""
    holds: Callable[[Host], bool]
    """Pure."""
    gap: str | None = None
    """The gap that would hide it: with it, *does not hold* means *cannot tell*."""


class Effect(Struct, frozen=True, kw_only=True):
    """What an item is expected to bring."""

    figure: str
    """``about 5 %``, or ``no published figure``."""
    conditions: str = ""
    """Under which conditions the figure was published."""
    source: str = ""
    """Who published it; empty where there is no figure."""


NO_FIGURE = Effect(figure="no published figure")


class Item(Struct, Generic[T], frozen=True, kw_only=True):
    """A tuning item."""

    id: str
    """``noun.what``: the noun is the module that declares it."""
    title: str
    """What should be the case, in one line."""
    layer: Layer
    platforms: tuple[Platform, ...]
    """For whom it matters."""
    severity: Severity
    usage: Literal["commercial", "poc_only"] = "commercial"
    """``poc_only``: for benchmarks and proofs of concept, not for production; such an item is
    judged only where somebody asks for it by name."""
    takes_effect: Effectiveness
    risk: str
    """What can go wrong when it is set."""
    effect: Effect
    why: str
    """A paragraph."""
    sources: tuple[str, ...]
    """Documents that the item is taken from."""
    by_hand: str
    """The exact command, or the BIOS path or Redfish attribute."""
    undo_by_hand: str
    """How to take it back."""
    conflicts: tuple[str, ...] = ()
    """Ids of items that cannot both be followed, in some situation that ``why`` names."""
    rule: str | None = None
    """Number of the conflict rule that it carries out: ``R1``."""
    applies: tuple[Condition, ...] = ()
    """What must hold of the host, all of it; ``judge`` may find other reasons by object."""
    subjects: Subjects[T]
    wanted: Wanted | None = None
    """What the site may change; None where the wanted value follows from the host."""
    judge: Callable[[Host, T, Wanted], Outcome]
    """Pure: the same host gives the same outcome."""


AnyItem = Item[Any]


def item_document(item: AnyItem) -> dict[str, Any]:
    """Return everything that an item declares, its functions aside."""
    document: dict[str, Any] = {"schema": "virtboost.item/1"}
    for field in ("id", "title", "layer", "platforms", "severity", "usage", "takes_effect", "risk"):
        document[field] = getattr(item, field)
    document["effect"] = item.effect
    for field in ("why", "sources", "by_hand", "undo_by_hand", "conflicts", "rule"):
        document[field] = getattr(item, field)
    document["applies_when"] = [condition.when for condition in item.applies]
    document["object"] = item.subjects.kind
    document["wanted"] = None if item.wanted is None else item.wanted.text
    return document


def whole_host(host: Host) -> Sequence[tuple[str, Host]]:
    """Select the host itself."""
    return (("", host),)


HOST: Subjects[Host] = Subjects(kind="host", select=whole_host, none="")
