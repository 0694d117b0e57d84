"""One BMC, asked with ``sushy``; nobody imports this module who does not ask one."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import requests
import sushy
from sushy import auth, connector
from sushy.exceptions import (
    AccessError,
    HTTPError,
    MissingAttributeError,
    ResourceNotFoundError,
    SushyError,
)

from virtboost.errors import HostTimeout, InputError, TransportError, Unreachable

ANSWER_LIMIT_S = 30
"""Time for each of about six answers: a BMC is a slow computer."""

_SYSTEM = re.compile(r"/redfish/v1/Systems/[\w.-]+")
_FORM = "https://BMC, or https://BMC/redfish/v1/Systems/ID"


class SushyBmc:
    """A BMC that speaks Redfish, and the account that asks it."""

    def __init__(
        self,
        url: str,
        *,
        user: str,
        password: str,
        ca: Path | None = None,
        limit_s: float = ANSWER_LIMIT_S,
    ) -> None:
        """Ask the BMC at ``url``.

        Args:
            url: ``https://BMC``, or ``https://BMC/redfish/v1/Systems/ID`` where it serves several
                systems.
            user: Name of an account that may read.
            password: Its password.
            ca: Certificates to trust in place of those that this machine trusts.
            limit_s: Time for each answer.

        Raises:
            InputError: The address is not of that form, or there is no such file.
        """
        parts = _parts(url)
        if ca is not None and not ca.is_file():
            raise InputError(f"{ca}: no such file of certificates")
        self.name = f"https://{parts.netloc}"
        self._system = parts.path.rstrip("/")
        self._account = (user, password)
        self._verify = True if ca is None else str(ca)
        self._limit_s = limit_s

    def bios_attributes(self) -> Mapping[str, object]:
        """Return every BIOS attribute by its name.

        Raises:
            InputError: It serves several systems and the address names none.
            Unreachable: There is no connection, or its certificate is not trusted.
            HostTimeout: It does not answer.
            TransportError: It refuses the account, is not Redfish, or tells no BIOS settings.
        """
        _silence("sushy")
        try:
            return self._asked()
        except SushyError as error:
            raise self._told(error) from error
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            # sushy takes it that every document has the form of its schema.
            raise TransportError(self.name, "is not a Redfish service") from error
        except (requests.RequestException, OSError) as error:
            raise Unreachable(self.name, f"no connection: {error}") from error

    def _asked(self) -> Mapping[str, object]:
        line = connector.Connector(
            self.name,
            verify=self._verify,
            server_side_retries=1,
            server_side_retries_delay=1,
            default_request_timeout=self._limit_s,
        )
        try:
            with auth.SessionOrBasicAuth(*self._account) as session:
                root = sushy.Sushy(self.name, auth=session, connector=line)
                system = root.get_system(self._system or self._only_system(root))
                attributes = system.bios.attributes
        finally:
            line.close()
        if not isinstance(attributes, Mapping):
            raise TransportError(self.name, _NO_SETTINGS)
        return attributes

    def _only_system(self, root: sushy.Sushy) -> str:
        paths: Sequence[str] = root.get_system_collection().members_identities
        if len(paths) != 1:
            some = f" ({', '.join(paths[:4])})" if paths else ""
            raise InputError(f"{self.name}: serves {len(paths)} systems{some}; write {_FORM}")
        return paths[0]

    def _told(self, error: SushyError) -> TransportError:
        if isinstance(error, HTTPError):
            return TransportError(self.name, _refusal(error))
        if isinstance(error, MissingAttributeError):
            return TransportError(self.name, _NO_SETTINGS)
        cause = error.__context__
        if isinstance(cause, requests.exceptions.Timeout):
            return HostTimeout(self.name, f"no answer in {self._limit_s:g} s")
        if isinstance(cause, requests.RequestException):
            return Unreachable(self.name, _connection_problem(cause))
        return TransportError(self.name, f"is not understood: {error}")


_NO_SETTINGS = "tells no BIOS settings; go without --redfish"


def _parts(url: str) -> SplitResult:
    problem = f"{url!r} is not a BMC: write {_FORM}"
    try:
        parts = urlsplit(url)
        well_formed = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise InputError(problem) from error
    if "@" in parts.netloc:
        raise InputError("no user or password in the address of a BMC: others see command lines")
    path = parts.path.rstrip("/")
    if not well_formed or parts.query or parts.fragment or (path and not _SYSTEM.fullmatch(path)):
        raise InputError(problem)
    return parts


def _silence(library: str) -> None:
    """Keep what a library logs off stderr: what matters of it comes as an error."""
    logger = logging.getLogger(library)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _refusal(error: HTTPError) -> str:
    if isinstance(error, AccessError):
        return "refuses the user or the password"
    if isinstance(error, ResourceNotFoundError):
        return _missing(str(error))
    return f"answers with HTTP status {error.status_code}"


def _missing(text: str) -> str:
    """Tell of ``Resource https://BMC/PATH not found`` what that means."""
    path = urlsplit(text.removeprefix("Resource ").removesuffix(" not found")).path.rstrip("/")
    if path == "/redfish/v1":
        return "is not a Redfish service"
    return f"has no {path}" if _SYSTEM.fullmatch(path) else _NO_SETTINGS


def _connection_problem(error: requests.RequestException) -> str:
    text = str(error)
    untrusted = re.search(r"certificate verify failed: ([^(]+)", text)
    if untrusted:
        why = untrusted[1].strip()
        return f"its certificate is not trusted ({why}); name its CA in VIRTBOOST_REDFISH_CA"
    if isinstance(error, requests.exceptions.SSLError):
        return "speaks no TLS that we can"
    reason = re.search(r"\[Errno -?\d+\] ([^'\")]+)", text)
    return reason[1].strip().lower() if reason else "the connection broke"
