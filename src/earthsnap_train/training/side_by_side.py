"""Trials side by side: a process for each group of devices, which teaches one trial after the other."""

from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from earthsnap_train.context import Context, Resources
from earthsnap_train.processes import end_with_parent
from earthsnap_train.training.found import Attempt
from earthsnap_train.training.owner import Trials, folder_of
from earthsnap_train.training.trial import Task, Values, attempt

END_TIMEOUT_S = 30.0


def side_by_side(task: Task, owner: Trials, groups: Sequence[Resources], context: Context) -> None:
    """``owner`` alone decides: the processes ask it whether their trial may go on.

    A process that dies costs its trial, which has failed, and another takes its place. Whichever way this ends, no process
    is left.
    """
    idle = [_Desk(task, resources) for resources in groups]
    busy: dict[Connection, _Desk] = {}
    try:
        while True:
            while idle and (asked := owner.next()) is not None:
                desk = idle.pop()
                desk.begin(*asked, folder_of(asked[0], context))
                busy[desk.connection] = desk
            if not busy:
                return
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                desk = busy[connection]
                said = desk.hear()
                if isinstance(said, Attempt):
                    idle.append(busy.pop(connection))
                    owner.ended(desk.number, said)
                elif said is None:
                    busy.pop(connection)
                    died = Attempt(
                        state="failed", value=None, curve=[], seconds=0.0, error="its process was ended from outside"
                    )
                    desk.close()
                    idle.append(_Desk(task, desk.resources))
                    owner.ended(desk.number, died)
                else:
                    desk.answer(owner.examine(desk.number, *said))
    finally:
        for desk in [*idle, *busy.values()]:
            desk.close()


class _Desk:
    """A process and the wire to it."""

    def __init__(self, task: Task, resources: Resources) -> None:
        self.resources = resources
        self.number = -1
        spawn = get_context("spawn")
        self.connection, theirs = spawn.Pipe()
        self._process: BaseProcess = spawn.Process(target=_work, args=(theirs, task, resources))
        self._process.start()
        theirs.close()  # or the wire would seem whole after the process is gone

    def begin(self, number: int, values: Values, folder: Path) -> None:
        self.number = number
        with suppress(OSError):  # the process is gone, which is heard next
            self.connection.send((values, folder))

    def hear(self) -> Attempt | tuple[int, float] | None:
        """The outcome, or how far it is; None where the process is gone."""
        try:
            said: Attempt | tuple[int, float] = self.connection.recv()
        except (EOFError, ConnectionResetError):
            return None
        return said

    def answer(self, go_on: bool) -> None:
        with suppress(OSError):
            self.connection.send(go_on)

    def close(self) -> None:
        self.connection.close()
        self._process.terminate()
        self._process.join(END_TIMEOUT_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


class _Asked:
    """Asks the owner over the wire; a process of those that teach one trial together takes it along."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, epoch: int, value: float) -> bool:
        self._connection.send((epoch, value))
        return bool(self._connection.recv())


def _work(connection: Connection, task: Task, resources: Resources) -> None:
    end_with_parent()
    torch.set_num_threads(resources.threads)
    while True:
        try:
            values, folder = connection.recv()
        except EOFError:
            return
        connection.send(attempt(task, values, folder, resources, _Asked(connection)))
