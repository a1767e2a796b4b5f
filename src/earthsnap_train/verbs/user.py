"""``user``: who may sign in to the console."""

import json
import time

from rich.table import Table

from earthsnap_train.console.users import Users
from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.job import User
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.opening import open_registry
from earthsnap_train.verbs.terminal import console as console_for_people


def run(spec: RunSpec) -> tuple[int, None]:
    job = spec.job
    assert isinstance(job, User)
    users = Users(open_registry(spec).ledger)
    if job.login is None:
        if job.remove:
            raise ConfigError("nobody is named", where="login", remedy="earthsnap user login=anna remove=true")
        _list(users, as_json=spec.json_output)
        return 0, None
    if job.remove:
        users.remove(job.login)
        said: dict[str, str] = {"removed": job.login}
        words = f"{job.login} is removed, and signed out everywhere"
    else:
        was_there = users.get(job.login) is not None
        token = users.add(job.login, job.role)
        said = {"login": job.login, "role": job.role, "token": token}
        words = (
            f"{job.login} may sign in to the console as {job.role} with this token, which is shown this once:\n\n"
            f"  {token}\n" + ("\nthe token before is void\n" if was_there else "")
        )
    if spec.json_output:
        print(json.dumps(said, indent=1))  # noqa: T201
    else:
        console_for_people().print(words, markup=False, soft_wrap=True)
    return 0, None


def _list(users: Users, *, as_json: bool) -> None:
    found = users.all()
    if as_json:
        print(json.dumps([user.model_dump(exclude={"token_sha256"}) for user in found], indent=1))  # noqa: T201
        return
    console = console_for_people()
    if not found:
        console.print("nobody yet; the first: earthsnap user login=anna role=approver", markup=False)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("login", "role", "since"):
        table.add_column(column)
    for user in found:
        table.add_row(user.login, user.role, time.strftime("%Y-%m-%d %H:%M", time.localtime(user.added)))
    console.print(table)
