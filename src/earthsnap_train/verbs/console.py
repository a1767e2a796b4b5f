"""``console``: the pages for people, until it is interrupted."""

import getpass
import os
import signal
from contextlib import suppress

from earthsnap_train.console.app import make_desk
from earthsnap_train.console.server import address, is_local, listen, make_server
from earthsnap_train.spec.job import Console
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.opening import open_registry
from earthsnap_train.verbs.terminal import console as console_for_people


def run(spec: RunSpec) -> tuple[int, None]:
    job = spec.job
    assert isinstance(job, Console)
    listening = listen(job.host, job.port)
    desk = make_desk(open_registry(spec), spec.deployment, is_local=is_local(listening))
    people = console_for_people()
    if desk.is_local:
        token = desk.sessions.link_for(_user())
        people.print(f"console  {address(listening)}/sign-in?once={token}", markup=False, soft_wrap=True)
        people.print("         the link signs you in as approver: once, within the hour", markup=False)
    else:
        people.print(f"console  {address(listening)}", markup=False)
        people.print(
            "warning  others can reach it, and read on the way what is sent: put TLS in front of it", markup=False
        )
        people.print("         they sign in by token: earthsnap user login=anna role=approver", markup=False)
    people.print("         Ctrl-C ends it, and signs everybody out", markup=False)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):  # the server ends as it should, and then raises it again
        make_server(desk).run(sockets=[listening])
    return 0, None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # containers run as users that have no name
        return f"user {os.getuid()}"
