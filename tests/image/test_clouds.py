"""Logins from a clouds.yaml, read as the image reads it. tests/stack uses them with a Keystone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from entrypoint import clouds
from entrypoint.errors import StartError

AUTH = "auth_url: http://keystone.invalid:5000/v3, username: admin, password: hidden"
ONE = f"""
clouds:
  only:
    auth: {{{AUTH}, project_name: admin}}
    region_name: eu1
    interface: internal
"""
TWO = f"clouds: {{a: {{auth: {{{AUTH}}}}}, b: {{auth: {{{AUTH}}}}}}}"
CREDENTIAL = """
clouds:
  app:
    auth_type: v3applicationcredential
    auth:
      auth_url: http://keystone.invalid:5000/v3
      application_credential_id: id
      application_credential_secret: hidden
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path that OS_CLIENT_CONFIG_FILE names."""
    path = tmp_path / "clouds.yaml"
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
    monkeypatch.delenv("OS_CLOUD", raising=False)
    return path


def auth_of(cloud: clouds.Cloud) -> Any:
    """Return the auth plugin, whose attributes depend on the type of the login."""
    return cloud.session.auth


def test_only_cloud_is_the_default(write: Path) -> None:
    write.write_text(ONE)
    cloud = clouds.load()
    assert (cloud.name, cloud.region, cloud.interface) == ("only", "eu1", "internal")
    assert auth_of(cloud).auth_url == "http://keystone.invalid:5000/v3"
    assert (cloud.session.verify, cloud.session.timeout) == (True, clouds.TIMEOUT)


def test_variable_and_argument_name_a_cloud(write: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write.write_text(TWO)
    monkeypatch.setenv("OS_CLOUD", "b")
    assert (clouds.load().name, clouds.load("a").name) == ("b", "a")
    assert (clouds.load().region, clouds.load().interface) == (None, "public")


def test_application_credential_is_a_login(write: Path) -> None:
    write.write_text(CREDENTIAL)
    (method,) = auth_of(clouds.load()).auth_methods
    assert method.application_credential_id == "id"


BAD = {
    "no YAML": (ONE + "\t- x", r"is not valid YAML from line 7 on"),
    "no clouds": ("cloud: {}", r"contains no clouds"),
    "a list": ("- clouds", r"contains no clouds"),
    "two clouds": (TWO, r"has several clouds: set OS_CLOUD to a, b"),
    "no login": ("clouds: {a: {}}", r"the cloud a in .* has no login"),
    "no URL": ("clouds: {a: {auth: {username: admin}}}", r"lacks auth\.auth_url: add it"),
    "a misspelt option": (ONE.replace("username", "user"), r"auth\.user of .* is unknown: use"),
    "a number": (ONE.replace("hidden", "123"), r"auth\.password of .* is not text"),
    "an unknown type": (CREDENTIAL.replace("v3app", "v4app"), r"auth_type of .* is unknown"),
    "a missing CA": (ONE + "    cacert: /none.crt", r"cacert /none\.crt of .* cannot be read"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_bad_file_is_refused_in_one_line_without_a_password(
    text: str, message: str, write: Path
) -> None:
    write.write_text(text)
    with pytest.raises(StartError, match=message) as error:
        clouds.load()
    assert not re.search("\n|hidden", str(error.value))


def test_missing_file_and_unknown_cloud_are_refused(write: Path) -> None:
    with pytest.raises(StartError, match="cannot be read: No such file or directory"):
        clouds.load()
    write.write_text(TWO)
    with pytest.raises(StartError, match="has no cloud c: use a, b"):
        clouds.load("c")
