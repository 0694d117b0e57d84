"""``python -m virtboost.net.validate.stage``: climbs one rung, as the first process of namespaces."""

from __future__ import annotations

import msgspec

from virtboost.net.emulate.apart import serve
from virtboost.net.validate import speaker
from virtboost.net.validate.rung import Run, Rung, SpeakerRung


def climb(rung: Rung) -> Run:
    """Run one rung of a ladder."""
    if isinstance(rung, SpeakerRung):
        return speaker.climb(rung)
    raise NotImplementedError


if __name__ == "__main__":
    serve(lambda content, _: climb(msgspec.json.decode(content, type=Rung)))
