"""Real many-core NUMA servers under QEMU, from Debian's packages only."""
