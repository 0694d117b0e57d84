"""Every error that virtboost raises on purpose.

::

    VirtboostError
    ├── InputError               what the user gave is wrong                       exit 2
    │   └── ParseError           a file or an output is not of its form
    └── TransportError           a host could not be read or written               exit 3
        ├── Unreachable          no connection, refused, name unknown
        ├── HostTimeout          no answer within the time limit
        ├── BadAnswer            what came back answers nothing
        ├── CommandFailed        a program on the host failed
        └── ChangeFailed         a host did not take a value

An error is one line: what is wrong, where, and what to do.  It carries its facts as attributes so
that a program need not read the line.
"""


class VirtboostError(Exception):
    """Root of the tree; the command line prints it as one line and exits with ``exit_status``."""

    exit_status = 2


class InputError(VirtboostError):
    """What the user gave cannot be used."""


class ParseError(InputError):
    """A text does not have the form that its source promises."""

    def __init__(self, source: str, problem: str, *, line: int | None = None) -> None:
        """Say that ``source`` (a path or a command) has ``problem``, at ``line`` (from 1)."""
        self.source = source
        self.problem = problem
        self.line = line
        where = source if line is None else f"{source}:{line}"
        super().__init__(f"{where}: {problem}")


class TransportError(VirtboostError):
    """A host could not be read or written."""

    exit_status = 3
    transient = False
    """Whether the same call may succeed later without anybody changing anything."""

    def __init__(self, host: str, problem: str) -> None:
        """Say that ``host`` has ``problem``."""
        self.host = host
        self.problem = problem
        super().__init__(f"{host}: {problem}")


class Unreachable(TransportError):
    """There is no connection to the host."""

    transient = True


class HostTimeout(TransportError):
    """The host did not answer within the time limit."""

    transient = True


class BadAnswer(TransportError):
    """What came back from the host is cut off, too much, or not what was asked for."""


class CommandFailed(TransportError):
    """A program on the host failed; ``exit_status`` of the program is ``status``."""

    def __init__(self, host: str, argv: tuple[str, ...], status: int, stderr: str) -> None:
        """Say that ``argv`` ended with ``status`` and wrote ``stderr``."""
        self.argv = argv
        self.status = status
        self.stderr = stderr
        last = stderr.strip().splitlines()[-1:] or ["no message"]
        super().__init__(host, f"{argv[0]} failed with status {status}: {last[0]}")


class ChangeFailed(TransportError):
    """The kernel refused a value, or made another of it."""
