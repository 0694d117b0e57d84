"""What a simulation takes for granted beside its costs: timers, what fails, for how long."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from virtboost.net.failure import Detection


class Conditions(Struct, frozen=True, kw_only=True):
    """Of a run; defaults are those of the configuration that the plan writes."""

    detection: Detection | None = None
    """How a death is noticed; None: as the plan chooses."""
    connect_delay_s: float = 1.0
    """From a daemon's start to its first attempts, at most: timers are early."""
    connect_retry_s: float = 3.0
    """Between attempts while the other end does not answer, at most."""
    error_wait_s: float = 5.0
    """After a session that was refused or lost, at most; doubled for each that follows."""
    error_wait_most_s: float = 60.0
    """To which it is doubled."""
    advertise_s: float = 0.0
    """Least time between two advertisements of a reflector, MRAI (RFC 4271, section 9.2.1.1), for
    all its peers alike; withdrawals do not wait. 0: as BIRD and FRR have it within an AS."""
    down_s: float = 1.0
    """Until a daemon that was killed is started again."""
    restarts: Literal["middle", "last"] = "middle"
    """Which node's daemon restarts, of a mesh: half of the others connect to the one in the middle,
    and wait for the end of an error first; the last, as in an emulation, connects to all."""
    cores: int = 0
    """CPUs that all daemons share when they start, as in an emulation; 0: each has its own."""
    wake_s: float = 0.0
    """Between scans that wake a daemon which starts on CPUs that are shared, see ``waking.py``; 0:
    nothing waits for that."""
    pods_on_reflectors: bool = True
    """Whether reflectors are nodes with pods of their own, as in a plan; an emulation's have
    none."""
    typhas: bool = True
    """Whether Typhas stand between a datastore and nodes, as in a plan; an emulation has none."""
