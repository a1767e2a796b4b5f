"""The whole of a declaration, as it comes through the door."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from earthsnap_train.spec.architecture import ArchitectureSpec
from earthsnap_train.spec.aws import Aws
from earthsnap_train.spec.backbone import Backbone
from earthsnap_train.spec.dataset import Dataset
from earthsnap_train.spec.deployment import Deployment
from earthsnap_train.spec.evaluation import Evaluation
from earthsnap_train.spec.grouping import GroupingSpec
from earthsnap_train.spec.infra import Infra
from earthsnap_train.spec.job import Job
from earthsnap_train.spec.launcher import LauncherSpec
from earthsnap_train.spec.model import SpecModel
from earthsnap_train.spec.registry import RegistrySpec
from earthsnap_train.spec.serving import Serving
from earthsnap_train.spec.taxonomy import TaxonomySpec
from earthsnap_train.spec.tracking import Tracking
from earthsnap_train.spec.training import Training
from earthsnap_train.spec.tuning import TuningSpec

FamilyName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]


class Paths(SpecModel):
    """Folders of this machine; none of them changes a result. ``journal: null`` keeps nothing of what servers answer."""

    store: str
    outputs: str
    registry: str
    groupings: str
    journal: str | None

    @property
    def journal_folder(self) -> Path | None:
        return None if self.journal is None else Path(self.journal)


class RunSpec(SpecModel):
    """A declaration. ``name``: the family's. ``nodes``: training overrides of ``parent``, ``child``, ``child/x``, ``flat``.

    ``base``: the release that the new one starts from; its parent is kept as long as that routes well.
    """

    name: FamilyName
    seed: Annotated[int, Field(ge=0)]
    debug: bool
    traceback: bool
    json_output: Annotated[bool, Field(alias="json")]
    paths: Paths
    dataset: Dataset
    taxonomy: TaxonomySpec
    grouping: GroupingSpec
    architecture: ArchitectureSpec
    backbone: Backbone
    training: Training
    nodes: dict[str, dict[str, object]]
    base: str | None
    tuning: TuningSpec
    evaluation: Evaluation
    serving: Serving
    deployment: Deployment
    aws: Aws
    infra: Infra
    launcher: LauncherSpec
    registry: RegistrySpec
    tracking: Tracking
    job: Job
