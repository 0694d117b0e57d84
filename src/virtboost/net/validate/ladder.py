"""The ladders: sizes of the load that single daemons meet."""

from __future__ import annotations

from virtboost.net.validate.rung import (
    LogicalRung,
    RuleRung,
    Rung,
    SpeakerRung,
    WatchRung,
)

RUNGS: tuple[Rung, ...] = (
    SpeakerRung(role="node", peers=50),
    SpeakerRung(role="node", peers=100),
    SpeakerRung(role="node", peers=100, blocks=10),
    SpeakerRung(role="node", peers=100, blocks=100),
    SpeakerRung(role="reflector", peers=50),
    SpeakerRung(role="reflector", peers=100),
    SpeakerRung(role="reflector", peers=100, blocks=10),
)
"""What tells apart what a session, a route sent, taken in and installed cost."""

DATABASES = ((10, 10), (50, 20), (50, 40), (100, 20))
"""Nodes of OVN, and pods of each."""

TALL: tuple[Rung, ...] = (
    *RUNGS,
    *(SpeakerRung(role="node", peers=peers) for peers in (200, 500, 1_000, 2_000)),
    *(SpeakerRung(role="reflector", peers=peers) for peers in (200, 500)),
    *(RuleRung(rules=rules) for rules in (10_000, 50_000, 100_000, 200_000)),
    *(WatchRung(watchers=watchers, events=50) for watchers in (10, 50, 200, 500)),
    *(LogicalRung(nodes=nodes, ports=ports) for nodes, ports in DATABASES),
)
"""With loads that no network of namespaces brings."""
