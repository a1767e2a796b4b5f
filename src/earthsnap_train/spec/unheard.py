"""Settings of a training that somebody typed where nothing is trained."""

from collections.abc import Sequence

from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.architecture import Heads, SharedTrunk
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.spec.training import Teaching
from earthsnap_train.spec.written import OFF

HEARD = ("method", "label_smoothing", "augmentation.horizontal_flip")  # by heads that are solved, too
INSTEAD = {"num_epochs": "max_iterations"}  # of ``Heads``, where they have another name for it


def check_heard(spec: RunSpec, typed: Sequence[str]) -> None:
    """``typed``: overrides as on the command line. Raises ConfigError for the first that would silently change nothing.

    Options that are off unless somebody wants them (``spec.written``) are refused where the plan is compiled.
    """
    is_frozen = isinstance(spec.architecture, SharedTrunk) and spec.training.method == "head"
    if not is_frozen or spec.job.verb not in ("plan", "train"):
        return
    for override in typed:
        where = override.partition("=")[0].lstrip("+~")
        part, _, key = where.partition(".")
        if part != "training" or key.partition(".")[0] not in Teaching.model_fields or key in (*HEARD, *OFF):
            continue
        own = INSTEAD.get(key, key)
        instead = (
            f"architecture.heads.{own} is theirs" if own in Heads.model_fields else "architecture.heads has theirs"
        )
        raise ConfigError(
            "it changes nothing here: the trunk stays as it is, and its heads are solved rather than trained",
            where=where,
            remedy=f"{instead}; training=head_then_full teaches the trunk",
        )
