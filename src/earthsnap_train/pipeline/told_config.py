"""The declaration as trackers get it: what runs are compared by, and no place of this machine."""

from earthsnap_train.pipeline.slices import Json, without_places
from earthsnap_train.spec.run import RunSpec

# No column of a comparison.
NO_RESULT = {"paths", "job", "json_output", "traceback", "deployment", "serving", "tracking"}
BLANK = ""


def told_config(spec: RunSpec) -> Json:
    """Keys of places stay, so that every run has the same columns; what they say goes to no service."""
    dataset, backbone, grouping = (
        part.model_dump(mode="json") for part in (spec.dataset, spec.backbone, spec.grouping)
    )
    return spec.model_dump(mode="json", by_alias=True, exclude=NO_RESULT) | {
        "dataset": dataset | {"source": without_places(spec.dataset.source), "reviews": BLANK},
        "backbone": backbone | {"weights": backbone["weights"] | {"file": BLANK}},
        "grouping": grouping | ({"file": BLANK} if "file" in grouping else {}),
    }
