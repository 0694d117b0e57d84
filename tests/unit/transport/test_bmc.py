"""Addresses of BMCs, and that no exception of the client gets through."""

import inspect
from pathlib import Path
from unittest import mock

import pytest
import requests
from sushy import exceptions

from virtboost.errors import InputError, TransportError
from virtboost.transport.bmc import SushyBmc


def bmc(url: str) -> SushyBmc:
    return SushyBmc(url, user="u", password="p")


@pytest.mark.parametrize(
    "url",
    [
        "bmc",
        "http://bmc",
        "https://",
        "https://bmc:port",
        "https://bmc:0",
        "https://[::1",
        "https://bmc/redfish/v1",
        "https://bmc/redfish/v1/Systems/1/Bios",
        "https://bmc?a=b",
        "https://bmc#a",
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(
        InputError, match=r"is not a BMC: write https://BMC, or https://BMC/redfish"
    ):
        bmc(url)


@pytest.mark.parametrize(
    "url", ["https://bmc", "https://bmc/", "https://[::1]:8443/redfish/v1/Systems/1/"]
)
def test_what_is_an_address(url: str) -> None:
    assert url.startswith(bmc(url).name)


def test_a_password_in_the_address_is_refused_and_not_shown() -> None:
    with pytest.raises(InputError) as caught:
        bmc("https://root:hunter2@bmc")
    assert "hunter2" not in str(caught.value)


def test_missing_certificates(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file of certificates"):
        SushyBmc("https://bmc", user="u", password="p", ca=tmp_path / "none")


def _errors() -> list[Exception]:
    """Make one of each exception of sushy and of requests."""
    answer = mock.Mock(status_code=418, json=dict)
    kinds = [k for _, k in inspect.getmembers(exceptions, inspect.isclass)]
    kinds += [k for _, k in inspect.getmembers(requests.exceptions, inspect.isclass)]
    return [
        kind("GET", "https://bmc/x", answer)
        if issubclass(kind, exceptions.HTTPError)
        else kind("t")
        for kind in kinds
        if issubclass(kind, exceptions.SushyError | requests.RequestException)
        and kind is not requests.JSONDecodeError  # it is a ValueError, tested with a real server
    ]


@pytest.mark.parametrize("error", _errors(), ids=lambda error: type(error).__name__)
def test_every_exception_of_the_client_is_mapped(error: Exception) -> None:
    with mock.patch("sushy.Sushy", side_effect=error):
        with pytest.raises(TransportError, match=r"^https://bmc: ."):
            bmc("https://bmc").bios_attributes()
