"""Agents of cluster managers: the options that they run with, by their files and processes.

Source: https://docs.openstack.org/oslo.config/latest/ for the files of nova;
https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/ and kubeadm's unit
10-kubeadm.conf; ``config.py`` of https://github.com/oVirt/vdsm;
https://gitcode.com/boostkit/cloud-native for Kunpeng TAP; confd's template bird.cfg.template of
https://github.com/projectcalico/calico for Calico.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from virtboost.model.agent import Agent
from virtboost.scan.gaps import Gaps
from virtboost.scan.ini import Malformed, parse_ini
from virtboost.transport.redact import secret_name
from virtboost.transport.source import Capture, Command, Files, Source

if TYPE_CHECKING:
    import yaml

NOVA_DISTRIBUTION = Files("/usr/share/nova", ("nova-dist.conf",))
"""What RDO's packages set; without one of the others it makes no agent."""

NOVA = (
    Files("/etc/nova", ("nova.conf",)),
    Files("/etc/nova", ("nova-compute.conf",)),
    Files("/etc/nova/nova.conf.d", ("*.conf",)),
    Files("/etc/nova/nova-compute.conf.d", ("*.conf",)),
    Files("/etc/kolla/nova-compute", ("nova.conf",)),
)
"""In the order of reading.  Kolla keeps what its containers see as /etc/nova in its own folder."""

NOVA_LISTS = (
    "DEFAULT.reserved_huge_pages",
    "pci.alias",
    "pci.device_spec",
    "pci.passthrough_whitelist",
)
"""Options that are there several times and mean all of them; of others the last one counts."""

VDSM = Files("/etc/vdsm", ("vdsm.conf",))

VDSM_PARTS = tuple(
    Files(f"{root}/vdsm/vdsm.conf.d", ("*.conf",)) for root in ("/usr/lib", "/etc", "/run")
)
"""Read after the file itself, sorted by name whichever folder they are in."""

KUBELET_CONFIG = Files("/var/lib/kubelet", ("config.yaml",))

KUBELET_FLAGS = (
    Files("/var/lib/kubelet", ("kubeadm-flags.env",)),
    Files("/etc/default", ("kubelet",)),
    Files("/etc/sysconfig", ("kubelet",)),
)
"""Environment of kubeadm's unit, in which the flags of kubeadm stand before those of the user."""

PROCESSES = Command(
    "agents", ("cat", "/proc/{}/cmdline"), foreach=("pgrep", "-x", "kubelet|kunpeng-tap")
)
"""Words that end in NUL, of agents that are set up by their command line."""

CALICO_BIRD = "/etc/calico/confd/config/bird.cfg"

CALICO = Command(
    "calico-bgp",
    ("grep", "-Eo", "^protocol bgp (Mesh|Global|Node)_", f"/proc/{{}}/root{CALICO_BIRD}"),
    foreach=("pgrep", "-x", "bird"),
)
"""BGP peers of Calico's BIRD, seen through its container's root; passwords are not read."""

SOURCES: tuple[Source, ...] = (
    NOVA_DISTRIBUTION,
    *NOVA,
    VDSM,
    *VDSM_PARTS,
    KUBELET_CONFIG,
    *KUBELET_FLAGS,
    PROCESSES,
    CALICO,
)

Options = dict[str, str]

_MOST_YAML = 1 << 16
"""Of characters; a kubelet's configuration has some thousands, and YAML is slow to read."""


def parse(capture: Capture, gaps: Gaps) -> tuple[Agent, ...]:
    """Return the agents.

    A gap ``agents`` tells that one may be there, or may be set up in another way than is told.
    """
    _unreadable(capture, gaps)
    commands = dict(_command_lines(capture))
    found = (
        _nova(capture, gaps),
        _kubelet(capture, gaps, commands.get("kubelet")),
        _tap(commands.get("kunpeng-tap")),
        _vdsm(capture, gaps),
        _calico(capture, gaps),
    )
    return tuple(agent for agent in found if agent is not None)


def _unreadable(capture: Capture, gaps: Gaps) -> None:
    folders = {source.directory for source in (*NOVA, VDSM, *VDSM_PARTS, KUBELET_CONFIG)}
    for failure in capture.failures:
        if {failure.path, failure.path.rpartition("/")[0]} & folders:
            gaps.add("agents", failure.path, failure.reason)


def _texts(capture: Capture, *sources: Files) -> dict[str, str]:
    """Return files by path, in the order of the sources and of names."""
    return {
        f"{directory}/{name}": text
        for source in sources
        for directory, texts in capture.entries(source).items()
        for name, text in sorted(texts.items())
    }


def _nova(capture: Capture, gaps: Gaps) -> Agent | None:
    texts = _texts(capture, *NOVA)
    if not texts:
        return None
    texts = _texts(capture, NOVA_DISTRIBUTION) | texts
    return Agent(name="nova-compute", files=tuple(texts), options=_of_ini(texts, gaps, NOVA_LISTS))


def _vdsm(capture: Capture, gaps: Gaps) -> Agent | None:
    texts = _texts(capture, VDSM)
    parts = _texts(capture, *VDSM_PARTS)
    texts |= {path: parts[path] for path in sorted(parts, key=lambda p: p.rpartition("/")[2])}
    if not texts:
        return None
    return Agent(name="vdsm", files=tuple(texts), options=_of_ini(texts, gaps, ()))


def _of_ini(texts: dict[str, str], gaps: Gaps, lists: tuple[str, ...]) -> Options:
    options: Options = {}
    for path, text in texts.items():
        try:
            for key, value in parse_ini(text):
                before = f"{options[key]}\n" if key in lists and key in options else ""
                options[key] = before + value
        except Malformed as error:
            gaps.add("agents", path, str(error))
    return _without_secrets(options)


def _without_secrets(options: Options) -> Options:
    """Leave out what is a secret by its name, and URLs that have a user's password."""
    return {
        key: value
        for key, value in options.items()
        if not secret_name(key) and not ("://" in value and "@" in value)
    }


def _kubelet(capture: Capture, gaps: Gaps, command: list[str] | None) -> Agent | None:
    texts = _texts(capture, KUBELET_CONFIG)
    environment = _texts(capture, *KUBELET_FLAGS)
    words = command or [word for text in environment.values() for word in _flag_words(text)]
    flags = dict(_flags(words))
    if not texts and not flags:
        return None
    config = flags.get("--config")
    if config is not None and config not in texts:
        gaps.add("agents", config, "the kubelet is set up there, where nothing is read")
        texts = {}
    if "--config-dir" in flags:
        gaps.add("agents", flags["--config-dir"], "more of the kubelet's settings are there")
    options: Options = {}
    for path, text in texts.items():
        options |= _of_yaml(text, path, gaps)
    files = (*texts, *(path for path in environment if command is None))
    return Agent(name="kubelet", files=files, options=_without_secrets(options | flags))


def _tap(command: list[str] | None) -> Agent | None:
    if command is None:
        return None
    return Agent(name="kunpeng-tap", files=(), options=_without_secrets(dict(_flags(command))))


def _calico(capture: Capture, gaps: Gaps) -> Agent | None:
    """Count peers by kind; ``grep`` says 1 where there are none, 2 where there is no Calico."""
    for output in capture.outputs(CALICO):
        if output.status in (0, 1):
            kinds = Counter(line.rpartition(" ")[2] for line in output.stdout.splitlines())
            peers = {f"peers.{kind}": str(kinds[f"{kind}_"]) for kind in ("Mesh", "Global", "Node")}
            return Agent(name="calico", files=(CALICO_BIRD,), options=peers)
        if "ermission denied" in output.stderr:
            gaps.add("agents", CALICO_BIRD, "permission denied")
    return None


def _command_lines(capture: Capture) -> Iterator[tuple[str, list[str]]]:
    """Yield the name and the further words of each process."""
    for output in capture.outputs(PROCESSES):
        words = output.stdout.split("\0")
        if output.status == 0 and words[0]:
            yield words[0].rpartition("/")[2], words[1:]


def _flag_words(environment: str) -> Iterator[str]:
    """Yield the words of ``KUBELET_EXTRA_ARGS="--one=1 --two"`` and its like."""
    for line in environment.splitlines():
        name, _, value = line.partition("=")
        if name.strip().removeprefix("export ").startswith("KUBELET_"):
            yield from value.strip().strip("\"'").split()


def _flags(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield ``--name=value``, ``--name value`` and ``--name``, which means true."""
    for word, following in pairwise((*words, "--")):
        name, equal, value = word.partition("=")
        if not name.startswith("--") or name == "--":
            continue
        yield name, value if equal else ("true" if following.startswith("-") else following)


def _of_yaml(text: str, path: str, gaps: Gaps) -> Options:
    """Return the scalars of a YAML document by their path, ``evictionHard.memory.available``."""
    if len(text) > _MOST_YAML:
        gaps.add("agents", path, "too large for a kubelet's configuration")
        return {}
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
        return {} if root is None else dict(_scalars(root, "", seen=set()))
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):
        # The last two come of escapes such as \UFFFFFFFF, which no character has.
        gaps.add("agents", path, "not YAML")
        return {}


def _scalars(node: yaml.Node, path: str, seen: set[int]) -> Iterator[tuple[str, str]]:
    """Yield scalars as written; a list of scalars is one, with commas.

    A node that is seen again is an alias, with which a small file tells billions of scalars.
    """
    import yaml

    if id(node) in seen:
        raise yaml.YAMLError("aliases")
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield path, _text(node)
    elif isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            name = _text(key) if isinstance(key, yaml.ScalarNode) else "?"
            yield from _scalars(child, f"{path}.{name}".lstrip("."), seen)
    elif all(isinstance(child, yaml.ScalarNode) for child in node.value):
        yield path, ",".join(_text(child) for child in node.value)
    else:
        for index, child in enumerate(node.value):
            yield from _scalars(child, f"{path}.{index}".lstrip("."), seen)


def _text(scalar: yaml.ScalarNode) -> str:
    """Return a scalar, in which escapes may have left halves of a character."""
    return str(scalar.value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
