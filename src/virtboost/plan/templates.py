"""Common shapes of guests and containers, by name; an entry's own values come first."""

from __future__ import annotations

from virtboost.errors import InputError
from virtboost.model.size import Size
from virtboost.model.workload import ContainerRequest, GuestRequest

GIB = 1 << 30

TEMPLATES = {
    shape.name: shape
    for shape in (
        # Sizes are common flavors; what differs on purpose is what the shape is about.
        GuestRequest(
            name="general", vcpus=4, memory=Size(8 * GIB), huge_pages="none", locality="balanced"
        ),
        GuestRequest(
            name="database",
            vcpus=16,
            memory=Size(64 * GIB),
            huge_pages="auto",
            iothreads=2,
            locality="sharing",
        ),
        GuestRequest(
            name="memory-bandwidth",
            vcpus=16,
            memory=Size(64 * GIB),
            huge_pages="auto",
            locality="bandwidth",
        ),
        GuestRequest(
            name="network-function",
            vcpus=8,
            memory=Size(16 * GIB),
            huge_pages="auto",
            emulator="own",
            locality="isolation",
        ),
        GuestRequest(
            name="desktop",
            vcpus=4,
            memory=Size(8 * GIB),
            huge_pages="none",
            cpus="shared",
            overcommit_ratio=4,
        ),
        ContainerRequest(name="service", vcpus=4, memory=Size(8 * GIB), locality="sharing"),
        ContainerRequest(
            name="background",
            vcpus=2,
            memory=Size(2 * GIB),
            cpus="shared",
            overcommit_ratio=4,
        ),
    )
}
"""Shapes by name."""


def filled(request: GuestRequest | ContainerRequest) -> dict[str, object]:
    """Return what an entry says, and its template where the entry says nothing.

    Raises:
        InputError: There is no such template.
    """
    said = {name: getattr(request, name) for name in request.__struct_fields__}
    if request.template is None:
        return said
    template = TEMPLATES.get(request.template)
    if template is None:
        known = ", ".join(TEMPLATES)
        raise InputError(f"{request.name}: there is no template {request.template!r}; {known}")
    return {
        name: getattr(template, name, None) if value is None else value
        for name, value in said.items()
    }
