"""Commands that several items are set with by hand; words in capitals stand for what is there."""

from __future__ import annotations

_RESTART_NOVA = "systemctl restart openstack-nova-compute  # Debian: nova-compute"

_DEBIAN = "# Debian: the same in GRUB_CMDLINE_LINUX of /etc/default/grub, then update-grub"


def with_arguments(arguments: str) -> str:
    """Return how to put arguments on the kernel command line, for the next boot."""
    return f"grubby --update-kernel=ALL --args='{arguments}'\n{_DEBIAN}"


def without_arguments(names: str) -> str:
    """Return how to take arguments off the kernel command line, for the next boot."""
    return f"grubby --update-kernel=ALL --remove-args='{names}'\n{_DEBIAN}"


def sysctl(name: str, value: str) -> str:
    """Return how to set a sysctl, now and at boot."""
    return f"sysctl -w {name}={value}\n# at boot: the line {name} = {value} in /etc/sysctl.d"


def nova_option(section: str, name: str, value: str) -> str:
    """Return how to set an option of nova-compute; it takes effect when the service restarts."""
    return f"crudini --set /etc/nova/nova.conf {section} {name} '{value}'\n{_RESTART_NOVA}"


def without_nova_option(section: str, name: str) -> str:
    """Return how to take an option of nova-compute away."""
    return f"crudini --del /etc/nova/nova.conf {section} {name}\n{_RESTART_NOVA}"


def kubelet_setting(lines: str) -> str:
    """Return how to set keys of the kubelet's configuration."""
    return f"# in /var/lib/kubelet/config.yaml: {lines}\nsystemctl restart kubelet"


def docker_setting(member: str) -> str:
    """Return how to set a member of Docker's configuration, for all containers."""
    return f"# in /etc/docker/daemon.json: {member}\nsystemctl restart docker"


def other_config(key: str, value: str) -> str:
    """Return how to set a key of Open vSwitch."""
    return f"ovs-vsctl set Open_vSwitch . other_config:{key}={value}"


def bios(path: str, value: str) -> str:
    """Return how to set an item of the BIOS; there is no command for it."""
    return f"# BIOS setup: {path}: {value}"
