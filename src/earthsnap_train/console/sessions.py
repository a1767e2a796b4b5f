"""Who is signed in, kept in this process alone: when the console ends, everybody is signed out."""

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from earthsnap_train.console.users import Role, User

LONGEST_S = 12 * 3600
LONGEST_IDLE_S = 2 * 3600
LINK_S = 3600


@dataclass(kw_only=True)
class Session:
    """``token_sha256``: of the token that opened it, None for the person at this machine. ``said``: shown on the next page."""

    login: str
    role: Role
    token_sha256: str | None
    opened: float
    last_asked: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    said: str = ""

    def may(self, role: Role) -> bool:
        return self.role in ("approver", role)

    def take_said(self) -> str:
        said, self.said = self.said, ""
        return said


class Sessions:
    """``find_user``: whether a login still stands, asked for each request, so that whoever is removed is out at once."""

    def __init__(self, clock: Callable[[], float], find_user: Callable[[str], User | None]) -> None:
        self._clock = clock
        self._find_user = find_user
        self._open: dict[str, Session] = {}
        self._lock = threading.Lock()
        self._link: tuple[str, str, float] | None = None

    def link_for(self, login: str) -> str:
        """A token that signs this person in as approver: once, and within the hour."""
        token = secrets.token_urlsafe(32)
        self._link = (_digest(token), login, self._clock())
        return token

    def use_link(self, token: str) -> str | None:
        """The new session's id, or None."""
        with self._lock:
            link = self._link
            if link is None or not hmac.compare_digest(link[0], _digest(token)):
                return None
            self._link = None
        return self._begin(link[1], "approver", None) if self._clock() - link[2] < LINK_S else None

    def begin(self, user: User) -> str:
        """The new session's id: a cookie's value, of which only the digest is kept."""
        return self._begin(user.login, user.role, user.token_sha256)

    def _begin(self, login: str, role: Role, token_sha256: str | None) -> str:
        now, session_id = self._clock(), secrets.token_urlsafe(32)
        new = Session(login=login, role=role, token_sha256=token_sha256, opened=now, last_asked=now)
        with self._lock:
            self._open = {key: one for key, one in self._open.items() if self._lives(one, now)}
            self._open[_digest(session_id)] = new
        return session_id

    def get(self, session_id: str, *, awake: bool = True) -> Session | None:
        """``awake: False`` for what a page asks by itself: it keeps no session from ending."""
        session = self._open.get(_digest(session_id))
        now = self._clock()
        if session is None or not self._lives(session, now):
            return None
        if session.token_sha256 is not None:
            user = self._find_user(session.login)
            if user is None or user.token_sha256 != session.token_sha256:
                return None
            session.role = user.role
        if awake:
            session.last_asked = now
        return session

    def end(self, session_id: str) -> None:
        with self._lock:
            self._open.pop(_digest(session_id), None)

    @staticmethod
    def _lives(session: Session, now: float) -> bool:
        return now - session.opened < LONGEST_S and now - session.last_asked < LONGEST_IDLE_S


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
