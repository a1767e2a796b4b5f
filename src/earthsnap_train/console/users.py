"""Who may sign in. A token is 256 random bits: its plain SHA-256, which is all that is kept, is nothing to guess from."""

import hashlib
import hmac
import secrets
import time
from typing import Literal

from pydantic import BaseModel, ConfigDict

from earthsnap_train.errors import NotFoundError, did_you_mean
from earthsnap_train.release.ledger import Ledger, record

Role = Literal["viewer", "approver"]
ORIGIN = "command line"


class User(BaseModel):
    """``token_sha256``: what changes when a new token makes the old one void."""

    model_config = ConfigDict(frozen=True)

    login: str
    role: Role
    token_sha256: str
    added: float


class Users:
    """The table ``users`` of a registry."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def all(self) -> list[User]:
        rows = self._ledger.rows("SELECT login, role, token_sha256, added FROM users ORDER BY login")
        return [User.model_validate(dict(zip(User.model_fields, row, strict=True))) for row in rows]

    def get(self, login: str) -> User | None:
        return next((user for user in self.all() if user.login == login), None)

    def by_token(self, token: str) -> User | None:
        """Looks at every user whichever it is, so that the time taken says nothing."""
        digest = _digest(token)
        found = [user for user in self.all() if hmac.compare_digest(user.token_sha256, digest)]
        return found[0] if found else None

    def add(self, login: str, role: Role) -> str:
        """The new token, which is kept nowhere. A login that was there loses its old one, and its open sessions end."""
        token = secrets.token_urlsafe(32)
        with self._ledger.writing() as connection:
            connection.execute(
                "INSERT INTO users VALUES (?1, ?2, ?3, ?4) "
                "ON CONFLICT (login) DO UPDATE SET role = ?2, token_sha256 = ?3, added = ?4",
                [login, role, _digest(token), time.time()],
            )
            record(connection, "user added", "", why=f"{login}, {role}", origin=ORIGIN)
        return token

    def remove(self, login: str) -> None:
        """Raises NotFoundError naming the nearest."""
        with self._ledger.writing() as connection:
            if connection.execute("DELETE FROM users WHERE login = ?", [login]).rowcount == 0:
                known = [str(row[0]) for row in connection.execute("SELECT login FROM users ORDER BY login")]
                raise NotFoundError(
                    f"there is no user {login!r}",
                    where="login",
                    allowed=", ".join(known) or "none was added yet",
                    remedy=did_you_mean(login, known) or "earthsnap user lists them",
                )
            record(connection, "user removed", "", why=login, origin=ORIGIN)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
