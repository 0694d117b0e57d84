"""virtboost: the full performance of many-core NUMA servers for KVM, containers and OVS."""

__version__ = "0.1.0"
