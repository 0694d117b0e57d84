"""The workloads that virtboost knows: names, options and figures, and the command of each."""

from __future__ import annotations

from msgspec import structs

from virtboost.prove.shipped import kernels, programs
from virtboost.prove.shipped.form import Shipped, unknown
from virtboost.prove.spec import Workload

WORKLOADS: dict[str, Shipped] = {each.name: each for each in (*programs.PROGRAMS, *kernels.KERNELS)}


def known(workload: Workload) -> Workload:
    """Return a workload with the command and the metrics of the one that it uses.

    Metrics that it has itself take the place of the known ones; one with a command is as it was.

    Raises:
        ValueError: No such workload or option, or a value that is none of the option's.
    """
    if not workload.use:
        return workload
    if workload.use not in WORKLOADS:
        raise ValueError(f"{workload.name}: {unknown('workload', workload.use, WORKLOADS)}")
    shipped = WORKLOADS[workload.use]
    try:
        command = shipped.command(workload.options)
    except ValueError as error:
        raise ValueError(f"{workload.name}: {workload.use}: {error}") from None
    metrics = workload.metrics or shipped.metrics
    return structs.replace(workload, command=command, metrics=metrics, use="", options={})
