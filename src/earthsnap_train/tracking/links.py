"""What W&B can only be told online, kept beside the runs until ``earthsnap sync`` replays it: which run used which asset."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

LINKS_FILE = "links.json"


class Link(BaseModel):
    """``use``: the run ``run_id`` used ``asset``. ``register``: ``asset`` belongs into the collection ``target``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["use", "register"]
    asset: str
    run_id: str
    target: str | None = None


class Page(BaseModel):
    """A report of W&B."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    url: str


class Links(BaseModel):
    """``entity``: a team, or null for the account's own. ``report``: the page that shows the run, once it was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    project: str
    entity: str | None
    group: str
    job_types: tuple[str, ...]
    waiting: tuple[Link, ...]
    report: Page | None = None

    @classmethod
    def read(cls, folder: Path) -> "Links | None":
        """Of a run folder; None where nothing was written for W&B."""
        path = folder / "wandb" / LINKS_FILE
        return cls.model_validate_json(path.read_bytes()) if path.is_file() else None

    def write(self, folder: Path) -> None:
        path = folder / "wandb" / LINKS_FILE
        temporary = path.with_suffix(".tmp")
        temporary.write_text(self.model_dump_json(indent=1))
        temporary.replace(path)

    def without(self, done: Sequence[Link]) -> "Links":
        return self.model_copy(update={"waiting": tuple(link for link in self.waiting if link not in done)})
