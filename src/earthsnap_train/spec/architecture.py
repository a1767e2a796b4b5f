"""What ``conf/architecture/`` declares: which nodes a family has, and how a photograph is routed through them."""

from typing import Annotated, Literal

from pydantic import Field

from earthsnap_train.spec.imbalance import Imbalance
from earthsnap_train.spec.model import SpecModel


class Routing(SpecModel):
    """``soft`` weighs the children of the likeliest groups; ``hard`` asks the first group's child alone.

    ``soft`` runs children in order of their group's probability until ``mass`` is covered or ``top_k`` have run.
    ``parent_weight``: how much a parent taught species counts beside the child, where a group's mass is divided.
    """

    kind: Literal["soft", "hard"]
    top_k: Annotated[int, Field(ge=1)]
    mass: Annotated[float, Field(gt=0, le=1)]
    parent_weight: Annotated[float, Field(ge=0, lt=1)]


class Parent(SpecModel):
    """``targets: species`` teaches the parent every species and routes on their summed probability."""

    targets: Literal["groups", "species"]
    max_images_per_group: Annotated[int, Field(ge=1)] | None


# At least a half: then no two taxa of a rank can both be likely enough, and there is one lineage.
AtLeastHalf = Annotated[float, Field(ge=0.5, lt=1)]


class Certainty(SpecModel):
    """When a taxon is said, at whatever rank: where it is at least as likely as a threshold that calibration finds.

    A share of at least ``accuracy`` of what is said is right, in all but a share ``delta`` of calibrations on val.
    ``unsure_below``: a threshold of one's own instead, for which nothing is promised; null has it found.
    """

    accuracy: AtLeastHalf
    delta: Annotated[float, Field(gt=0, le=0.5)]
    unsure_below: AtLeastHalf | None


# Which species stands first among those that a photograph may show (``models.naming``).
NamedFirst = Literal["likeliest", "least_expected_distance"]


class Heads(SpecModel):
    """Linear heads on the features of one trunk, each solved to its optimum (L2-regularised logistic regression).

    ``imbalance``: as of a training, with photographs that weigh more instead of being drawn more often.

    ``weight_decay``: of the mean cross-entropy, in units of the features' common scale. ``roots``: of features, instead of
    themselves. ``whitening``: how far directions are shrunk in which photographs of one species differ; 0: not at all.
    """

    roots: bool
    whitening: Annotated[float, Field(ge=0, le=0.99)]
    imbalance: Imbalance
    weight_decay: Annotated[float, Field(gt=0)]
    max_iterations: Annotated[int, Field(ge=1)]


class TrunkParent(SpecModel):
    """What the parent of a ``shared_trunk`` is taught; ``auto``: whichever makes the family likeliest on val.

    ``clusters``: parts of groups, of about ``species_per_cluster`` species that look alike.
    """

    targets: Literal["auto", "species", "clusters", "groups"]
    species_per_cluster: Annotated[int, Field(ge=2)]


class ParentChild(SpecModel):
    """A parent routes to a group, and that group's child names the species."""

    kind: Literal["parent_child"]
    certain: Certainty
    named_first: NamedFirst
    parent: Parent
    routing: Routing


class KeepParent(SpecModel):
    """When the parent of the release ``base`` is kept: it routes at least this share of the new photographs of val."""

    min_routing: Annotated[float, Field(gt=0, le=1)]


class SharedTrunk(SpecModel):
    """A parent and its children as heads of one trunk, which looks at each photograph once.

    The trunk stays as it is (``training.method: head``) or is taught once, all species at a time.
    """

    kind: Literal["shared_trunk"]
    certain: Certainty
    named_first: NamedFirst
    parent: TrunkParent
    keep_parent: KeepParent
    heads: Heads
    routing: Routing


class Flat(SpecModel):
    """One network over all species."""

    kind: Literal["flat"]
    certain: Certainty
    named_first: NamedFirst


ArchitectureKind = Literal["parent_child", "shared_trunk", "flat"]
ArchitectureSpec = Annotated[ParentChild | SharedTrunk | Flat, Field(discriminator="kind")]
