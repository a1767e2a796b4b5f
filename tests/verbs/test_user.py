"""``earthsnap user``: a token is shown once, and whoever is removed is out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from earthsnap_train.console.users import Users
from earthsnap_train.release.ledger import FileLedger
from tests.conftest import Said

Earthsnap = Callable[..., Said]


@pytest.fixture
def users(tmp_path: Path) -> Users:
    return Users(FileLedger(tmp_path / "registry"))


def test_a_new_user_gets_a_token_that_signs_in(earthsnap: Earthsnap, users: Users) -> None:
    said = earthsnap("user", "login=anna", "role=approver")

    assert said.code == 0
    assert "anna may sign in to the console as approver" in said.out
    token = said.out.split("\n\n")[1].strip()
    found = users.by_token(token)
    assert found is not None
    assert (found.login, found.role) == ("anna", "approver")


def test_adding_somebody_again_makes_the_token_before_void(earthsnap: Earthsnap, users: Users) -> None:
    first = earthsnap("user", "login=anna", "role=approver", "--json").json
    second = earthsnap("user", "login=anna", "--json").json

    assert users.by_token(first["token"]) is None
    assert second == {"login": "anna", "role": "viewer", "token": second["token"]}
    assert "the token before is void" in earthsnap("user", "login=anna").out
    assert len(users.all()) == 1


def test_the_list_names_everybody_and_no_token(earthsnap: Earthsnap) -> None:
    assert "nobody yet" in earthsnap("user").out
    token = earthsnap("user", "login=anna", "role=approver", "--json").json["token"]
    earthsnap("user", "login=ben")

    said, listed = earthsnap("user"), earthsnap("user", "--json")

    assert [line.split()[:2] for line in said.out.splitlines()[1:]] == [["anna", "approver"], ["ben", "viewer"]]
    assert [(user["login"], user["role"]) for user in listed.json] == [("anna", "approver"), ("ben", "viewer")]
    assert token not in said.out + listed.out
    assert "sha256" not in listed.out


def test_who_is_removed_cannot_sign_in_and_the_log_says_so(earthsnap: Earthsnap, users: Users, tmp_path: Path) -> None:
    token = earthsnap("user", "login=anna", "--json").json["token"]

    assert earthsnap("user", "login=anna", "remove=true").code == 0

    assert users.by_token(token) is None
    log = [(e.action, e.why, e.origin) for e in FileLedger(tmp_path / "registry").history()]
    assert log == [("user added", "anna, viewer", "command line"), ("user removed", "anna", "command line")]


def test_removing_nobody_names_the_nearest(earthsnap: Earthsnap) -> None:
    earthsnap("user", "login=anna")

    said = earthsnap("user", "login=ana", "remove=true")

    assert said.code == 2
    assert "there is no user 'ana'" in said.err
    assert "Did you mean 'anna'?" in said.err
    assert "nobody is named" in earthsnap("user", "remove=true").err


@pytest.mark.parametrize("login", ["Anna", "a b", "../x", "<b>", "''"])
def test_a_login_is_plain(earthsnap: Earthsnap, users: Users, login: str) -> None:
    assert earthsnap("user", f'login="{login}"').code == 2
    assert users.all() == []
