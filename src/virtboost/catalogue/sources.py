"""Public documents that several items are taken from."""

from __future__ import annotations

_HIKUNPENG = "https://www.hikunpeng.com/document/detail/en/kunpengcpfs"

_BOOSTVIRT = "https://gitcode.com/boostkit/boostvirt/tree/master/docs/en"

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

DOCKER_TABLE = "Kunpeng BoostKit for Virtualization overview (2021), Docker tuning table"

KVM_MEMORY = (
    "Kunpeng KVM tuning guide, memory binding: "
    f"{_HIKUNPENG}/ecosystemEnable/QEMU-KVM/kunpengkvm_05_0009.html"
)

DOCKER_PINNING = (
    "Kunpeng Docker tuning guide, NUMA binding: "
    f"{_HIKUNPENG}/ecosystemEnable/Docker/kunpengdocker_05_0006.html"
)

CONTAINER_BINDING = (
    "Kunpeng system tuning guide, binding containers: "
    f"{_HIKUNPENG}/systuningguide/systemtg/kunpengspecjvm_05_0005.html"
)

SLOW_FIO = (
    "Kunpeng troubleshooting, slow fio in a guest: "
    f"{_HIKUNPENG}/troubleshooting/trouble/kunpengcpfs_09_0024.html"
)

FEATURES = (
    "Kunpeng BoostKit, features of virtualization: "
    f"{_HIKUNPENG}/basicAccelFeatures/comAccel/kunpengopti_20_001.html"
)

CLUSTER_AWARENESS = f"BoostVirt, cluster awareness feature guide: {_BOOSTVIRT}"

NUMA_AWARENESS = f"BoostVirt, NUMA awareness feature guide: {_BOOSTVIRT}"

TOPOLOGY_AWARENESS = f"BoostVirt, topology awareness feature guide: {_BOOSTVIRT}"

GICV4_OVERSUBSCRIPTION = f"BoostVirt, GICv4.1 oversubscription guide: {_BOOSTVIRT}"

GICV4_REPORT = (
    "Report of GICv4.1 with overcommitted guests, linux-kernel, August 2024: "
    "https://lkml.iu.edu/hypermail/linux/kernel/2408.2/06395.html"
)

LOCK_OPTIMIZATION = f"BoostVirt, lock optimization feature guide: {_BOOSTVIRT}"

KAE_MIGRATION = f"BoostVirt, KAE accelerated live migration guide: {_BOOSTVIRT}"

AUTO_TOPOLOGY = (
    "Automatic derivation of a guest's topology: "
    "https://gitcode.com/boostkit/cloud-virtual, docs/zh/vm_topology_auto_derivation_guide.md"
)

LOSS_OPTIMIZATION = (
    "Kunpeng virtualization loss optimization guide: "
    "https://gitcode.com/boostkit/cloud-virtual, docs/en"
)

TAP = (
    "Kubernetes topology affinity plugin user guide: "
    "https://gitcode.com/boostkit/cloud-native, docs/en"
)

WAYCA = (
    "Benchmark logs of openEuler wayca-scheduler on a Kunpeng 920, two sockets: "
    "https://gitee.com/openeuler/wayca-scheduler, tools/kp920.2P.8CCL.type4"
)

KVM_HINTS = "Linux, Documentation/virt/kvm/x86/cpuid.rst, KVM_HINTS_REALTIME"

QEMU_CACHE = "QEMU, qemu-system(1), -drive cache= and aio="

MULTIQUEUE = (
    "Nova specification libvirt-virtiomq: "
    "https://specs.openstack.org/openstack/nova-specs/specs/liberty/implemented/"
    "libvirt-virtiomq.html"
)

NOVA_CONFIG = "Nova, configuration options: https://docs.openstack.org/nova/latest/configuration/"

NOVA_TOPOLOGY = (
    "Nova, CPU topologies: https://docs.openstack.org/nova/latest/admin/cpu-topologies.html"
)

OSP_NFV = (
    "Red Hat OpenStack Platform 16.1, Network functions virtualization planning and configuration "
    "guide, OVS-DPDK parameters"
)

OSP_TUNING = (
    "Red Hat OpenStack Platform 16.1, Network functions virtualization planning and configuration "
    "guide, chapter 9"
)

KUBERNETES_CPUS = (
    "Kubernetes, control CPU management policies on the node: "
    "https://kubernetes.io/docs/tasks/administer-cluster/cpu-management-policies/"
)

KUBERNETES_TOPOLOGY = (
    "Kubernetes, control topology management policies on a node: "
    "https://kubernetes.io/docs/tasks/administer-cluster/topology-manager/"
)

KUBERNETES_MEMORY = (
    "Kubernetes, utilizing the NUMA-aware memory manager: "
    "https://kubernetes.io/docs/tasks/administer-cluster/memory-manager/"
)

KUBERNETES_CGROUPS = (
    "Kubernetes, configuring a cgroup driver: "
    "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/configure-cgroup-driver/"
)

DOCKER_LIMITS = (
    "Docker, resource constraints: https://docs.docker.com/engine/containers/resource_constraints/"
)

DOCKER_LOGS = "Docker, logging drivers: https://docs.docker.com/engine/logging/configure/"

DOCKER_STORAGE = (
    "Docker, storage drivers: https://docs.docker.com/engine/storage/drivers/select-storage-driver/"
)

OVIRT_DEDICATED = (
    "oVirt, dedicated CPU policies: "
    "https://www.ovirt.org/develop/release-management/features/virt/dedicated-cpu.html"
)

OVIRT_RESIZE = "oVirt engine, resize and pin NUMA: https://github.com/oVirt/ovirt-engine/pull/76"

OVS_DB = "Open vSwitch, ovs-vswitchd.conf.db(5)"

OVS_PMD = "Open vSwitch, PMD threads: https://docs.openvswitch.org/en/latest/topics/dpdk/pmd/"
