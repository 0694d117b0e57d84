"""Public documents that several items are taken from."""

from __future__ import annotations

OVERVIEW = "Kunpeng BoostKit for Virtualization overview (2021), KVM and Docker tuning tables"

KVM_GUIDE = (
    "Huawei, QEMU-KVM tuning on Kunpeng, core binding: https://www.hikunpeng.com/document/detail/"
    "en/kunpengcpfs/ecosystemEnable/QEMU-KVM/kunpengkvm_05_0007.html"
)

TOPOLOGY_GUIDE = (
    "BoostVirt, virtualization scenario topology tuning guide: "
    "https://gitcode.com/boostkit/boostvirt/tree/master/docs/en"
)

INTERRUPT_GUIDE = (
    "BoostVirt, interrupt passthrough feature guide: "
    "https://gitcode.com/boostkit/boostvirt/tree/master/docs/en"
)

NIC_GUIDE = (
    "Huawei, performance tuning, NIC interrupt binding: https://www.hikunpeng.com/document/detail/"
    "en/perftuning/tuningtip/kunpengtuning_12_0026.html"
)

SCALING = "Linux, Scaling in the networking stack: https://docs.kernel.org/networking/scaling.html"

SYSCTL_VM = "Linux, sysctl/vm: https://docs.kernel.org/admin-guide/sysctl/vm.html"

SYSCTL_KERNEL = "Linux, sysctl/kernel: https://docs.kernel.org/admin-guide/sysctl/kernel.html"

KERNEL_PARAMETERS = (
    "Linux, kernel parameters: https://docs.kernel.org/admin-guide/kernel-parameters.html"
)

HUGETLB = "Linux, HugeTLB pages: https://docs.kernel.org/admin-guide/mm/hugetlbpage.html"

HUGETLB_ARM = "Linux, HugeTLBpage on ARM64: https://docs.kernel.org/arch/arm64/hugetlbpage.html"

KSM = "Linux, Kernel Samepage Merging: https://docs.kernel.org/admin-guide/mm/ksm.html"

TUNED = "TuneD, profiles: https://github.com/redhat-performance/tuned/tree/master/profiles"

LIBVIRT_DOMAIN = "libvirt, domain XML: https://libvirt.org/formatdomain.html"

OVERVIEW_FIGURE = "Kunpeng BoostKit for Virtualization overview (2021), KVM tuning table"
