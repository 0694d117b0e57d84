"""``python -m virtboost.net.validate.stage``: climbs a rung, as the first of its namespaces."""

from __future__ import annotations

import resource

import msgspec

from virtboost.net.emulate import space
from virtboost.net.emulate.apart import serve
from virtboost.net.validate import datastore, logical, speaker, switch
from virtboost.net.validate.rung import LogicalRung, RuleRung, Run, Rung, SpeakerRung


def climb(rung: Rung) -> Run:
    """Run one rung of a ladder."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if isinstance(rung, SpeakerRung):
        return speaker.climb(rung)
    if isinstance(rung, LogicalRung):
        return logical.climb(rung)
    space.own_run()
    if isinstance(rung, RuleRung):
        return switch.climb(rung, space.RUN)
    return datastore.climb(rung, space.RUN)


if __name__ == "__main__":
    serve(lambda content, _: climb(msgspec.json.decode(content, type=Rung)))
