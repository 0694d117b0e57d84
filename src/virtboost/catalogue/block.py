"""Items on disks."""

from __future__ import annotations

from collections.abc import Sequence

from virtboost.catalogue.item import NO_FIGURE, Item, Ok, Outcome, Subjects, Unknown, Wrong
from virtboost.catalogue.wanted import Wanted
from virtboost.model.block import BlockDevice
from virtboost.model.change import KernelFile
from virtboost.model.host import Host


def _flash(host: Host) -> Sequence[tuple[str, BlockDevice]]:
    return [(disk.name, disk) for disk in host.block if disk.rotational is False]


def _scheduler(host: Host, disk: BlockDevice, wanted: Wanted) -> Outcome:
    if disk.scheduler is None:
        return Unknown(f"the scheduler of {disk.name}")
    if wanted.accepts(disk.scheduler):
        return Ok(disk.scheduler)
    value = next((each for each in wanted.choices if each in disk.schedulers), None)
    return Wrong(
        found=disk.scheduler,
        wanted=wanted.text,
        reason=f"{disk.scheduler} sorts and delays requests for heads that {disk.name} does not "
        "have, and takes CPU time for each",
        changes=tuple(
            KernelFile(path=f"/sys/block/{device}/queue/scheduler", value=value)
            for device in disk.paths or (disk.name,)
            if value is not None
        ),
    )


ITEMS = (
    Item(
        id="block.scheduler",
        title="Disks without heads have a scheduler that does not think of heads",
        layer="kernel",
        platforms=("kvm", "docker", "openstack", "kubernetes", "ovirt"),
        severity="advice",
        takes_effect="live",
        risk="bfq shares a slow disk more fairly between containers; a site that wants that keeps "
        "it",
        effect=NO_FIGURE,
        why=(
            "bfq and the old cfq are made for disks with heads and for desktops; on NVMe and other "
            "flash they cost CPU time and parallelism. Guests schedule their own requests anyway. "
            "none and mq-deadline are both right; this item does not choose between them."
        ),
        sources=(
            "Linux, block: https://docs.kernel.org/block/index.html",
            "Red Hat Enterprise Linux 9, setting the disk scheduler: https://docs.redhat.com/en/"
            "documentation/red_hat_enterprise_linux/9/html/"
            "managing_storage_devices/setting-the-disk-scheduler_managing-storage-devices",
        ),
        by_hand="echo none > /sys/block/DISK/queue/scheduler",
        undo_by_hand="echo OLD > /sys/block/DISK/queue/scheduler",
        subjects=Subjects(
            kind="disk",
            select=_flash,
            none="no disk says that it has no heads",
            gap="disks",
        ),
        wanted=Wanted("none | mq-deadline | kyber | noop | deadline"),
        judge=_scheduler,
    ),
)
