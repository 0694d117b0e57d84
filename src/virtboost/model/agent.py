"""Agents of a cluster manager on this host, by their configuration files."""

from __future__ import annotations

from msgspec import Struct


class Agent(Struct, frozen=True, kw_only=True):
    """The part of a cluster manager that runs on a host."""

    name: str
    """``nova-compute`` (where there is a nova.conf, so on a controller as well), ``kubelet``,
    ``kunpeng-tap``, ``vdsm``, ``calico`` (where its BIRD runs)."""
    files: tuple[str, ...]
    """The configuration files that were read, in the order of reading."""
    options: dict[str, str]
    """Options by ``section.option`` (nova, vdsm), by path in the configuration
    (``kubeReserved.cpu``) and by command-line flag (``--cpu-manager-policy``) of kubelet; a later
    file wins.  Lists are joined by commas, options of nova that are given several times by lines;
    ``peers.Mesh``, ``peers.Global`` and ``peers.Node`` are how many BGP peers Calico has of each
    kind.  Secrets are not there."""
