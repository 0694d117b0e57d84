"""Items on memory: huge pages, KSM, page reclaim."""

from __future__ import annotations

from virtboost.catalogue.item import (
    HOST,
    Effect,
    Item,
    NotApplicable,
    Ok,
    Outcome,
    Unknown,
    Wrong,
)
from virtboost.catalogue.wanted import Wanted
from virtboost.model.change import TransparentHugepages
from virtboost.model.host import Host


def _thp(host: Host, _: Host, wanted: Wanted) -> Outcome:
    if not host.guests and host.gap("guests") is not None:
        return Unknown("whether there are guests")
    if not any(guest.page_sizes_bytes for guest in host.guests):
        return NotApplicable("no guest has static huge pages, which is what THP gets in the way of")
    found = host.memory.thp_enabled
    if found is None:
        return NotApplicable("this kernel has no transparent huge pages")
    if wanted.accepts(found):
        return Ok(found)
    return Wrong(
        found=found,
        wanted=wanted.text,
        reason="khugepaged scans and compacts memory beside guests that have their own pages",
        changes=(TransparentHugepages(setting="enabled", value=wanted.choices[0]),),
    )


ITEMS = (
    Item(
        id="memory.thp",
        title="Transparent huge pages off where guests have static ones",
        layer="kernel",
        platforms=("kvm", "openstack", "ovirt"),
        severity="warning",
        takes_effect="live",
        risk="programs outside guests that gained from THP lose it",
        effect=Effect(
            figure="about 5 %",
            conditions="THP off together with 512 MB pages, CPU benchmark in a guest, CentOS 7.6",
            source="Kunpeng BoostKit for Virtualization overview (2021), KVM tuning table",
        ),
        why=(
            "A guest with static huge pages gets nothing from transparent ones, and pays for "
            "khugepaged's scans and for compaction."
        ),
        sources=("Kunpeng BoostKit for Virtualization overview (2021), KVM tuning table",),
        by_hand="echo never > /sys/kernel/mm/transparent_hugepage/enabled",
        undo_by_hand="echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        subjects=HOST,
        wanted=Wanted("never | madvise"),
        judge=_thp,
    ),
)
