"""What ``conf/job/`` declares: the verb, and that verb's own options."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from earthsnap_train.spec.deployment import EndpointName
from earthsnap_train.spec.model import SpecModel


class Train(SpecModel):
    verb: Literal["train"]


class ShowPlan(SpecModel):
    verb: Literal["plan"]


class Status(SpecModel):
    verb: Literal["status"]


class Predict(SpecModel):
    """``release: null`` takes the champion, else the family's newest release, and says which. ``photos``: files or folders."""

    verb: Literal["predict"]
    photos: list[str]
    release: str | None
    top: Annotated[int, Field(ge=1)]


class Doctor(SpecModel):
    verb: Literal["doctor"]


class Schema(SpecModel):
    verb: Literal["schema"]


class Regroup(SpecModel):
    """``write: true`` replaces the lock; without it the verb only shows what would be retrained."""

    verb: Literal["regroup"]
    write: bool


class Advise(SpecModel):
    """Proposals are written to ``out``; a file that is there already is never replaced.

    ``num_groups``: of groupings by likeness; ``null`` tries several. ``min_species``, ``max_species``: of a group.
    """

    verb: Literal["advise"]
    out: str
    num_groups: Annotated[int, Field(ge=2)] | None
    min_species: Annotated[int, Field(ge=1)]
    max_species: Annotated[int, Field(ge=2)]
    num_folds: Annotated[int, Field(ge=2, le=20)]

    @model_validator(mode="after")
    def _room_between(self) -> Self:
        if self.min_species > self.max_species:
            raise ValueError(f"min_species ({self.min_species}) is more than max_species ({self.max_species})")
        return self


class CollectGarbage(SpecModel):
    """``dry_run: true`` lists what would go. Artifacts used within ``keep_days`` stay."""

    verb: Literal["gc"]
    dry_run: bool
    keep_days: Annotated[float, Field(ge=0)]


class Forget(SpecModel):
    """``image``: an image id (sha256), or a path as the dataset names it."""

    verb: Literal["forget"]
    image: str
    dry_run: bool


class ExportRecords(SpecModel):
    """Writes the records of ``node`` with that node's labels to ``out``."""

    verb: Literal["export-records"]
    node: str
    out: str


class Approve(SpecModel):
    """``anyway: true`` overrules an earlier rejection, by a person or by gates."""

    verb: Literal["approve"]
    release: str
    why: str
    anyway: bool


class Reject(SpecModel):
    """Rejecting the live release brings back the previous champion."""

    verb: Literal["reject"]
    release: str
    why: Annotated[str, Field(min_length=1)]


class Releases(SpecModel):
    """Without ``release`` a list; with it one release; with ``against`` that one beside another."""

    verb: Literal["releases"]
    release: str | None
    against: str | None


class History(SpecModel):
    """The audit log, newest last. ``release: null``: of all."""

    verb: Literal["history"]
    release: str | None
    last: Annotated[int, Field(ge=1)]


class Serve(SpecModel):
    """One ``release`` (a name, or a folder that holds one), a whole ``endpoint`` as the registry wants it, or whatever is
    loaded over HTTP from below the folder ``models``."""

    verb: Literal["serve"]
    release: str | None
    endpoint: EndpointName | None
    models: str | None
    family: str | None
    host: str
    port: Annotated[int, Field(ge=0, le=65535)]
    socket: str | None


class Stop(SpecModel):
    """Ends an endpoint of this machine once it has answered what it had begun, or what a run has started on SageMaker.

    ``run``: the name of its folder.
    """

    verb: Literal["stop"]
    endpoint: EndpointName | None
    run: str | None
    family: str | None


class Rollout(SpecModel):
    """``release``, or the ``package`` of SageMaker's Model Registry that stands for one, as an event names it."""

    verb: Literal["rollout"]
    release: str | None
    package: (
        Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{12}:model-package/[\w-]+/\d+$")] | None
    )


class Promote(SpecModel):
    """Lets a release that waits in stage go on to production."""

    verb: Literal["promote"]
    release: str


class Rollback(SpecModel):
    """``release`` is the one that must go: live, or half way there."""

    verb: Literal["rollback"]
    release: str
    why: str


class Watch(SpecModel):
    """``once: true`` does what is due and ends."""

    verb: Literal["watch"]
    once: bool


class Console(SpecModel):
    verb: Literal["console"]
    host: str
    port: Annotated[int, Field(ge=0, le=65535)]


class Sync(SpecModel):
    """Uploads what runs wrote for W&B offline. ``run: null``: of every run; ``report: true`` makes W&B a page of them."""

    verb: Literal["sync"]
    run: str | None
    report: bool
    minutes: Annotated[float, Field(gt=0)]


class Infrastructure(SpecModel):
    """Templates are written to ``out``; ``diff`` changes nothing there, and ``deploy`` does."""

    verb: Literal["infra"]
    action: Literal["render", "diff", "deploy"]
    out: str


class User(SpecModel):
    """Who may sign in to the console. Without ``login`` a list."""

    verb: Literal["user"]
    login: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.@-]{0,62}$")] | None
    role: Literal["viewer", "approver"]
    remove: bool


Job = Annotated[
    Train
    | ShowPlan
    | Status
    | Predict
    | Doctor
    | Schema
    | Regroup
    | Advise
    | CollectGarbage
    | Forget
    | ExportRecords
    | Approve
    | Reject
    | Releases
    | History
    | Serve
    | Stop
    | Rollout
    | Promote
    | Rollback
    | Watch
    | Console
    | User
    | Sync
    | Infrastructure,
    Field(discriminator="verb"),
]
