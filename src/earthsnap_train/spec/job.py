"""What ``conf/job/`` declares: the verb, and that verb's own options."""

from typing import Annotated, Literal

from pydantic import Field

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


Job = Annotated[
    Train | ShowPlan | Status | Predict | Doctor | Schema | Regroup | CollectGarbage | Forget | ExportRecords,
    Field(discriminator="verb"),
]
