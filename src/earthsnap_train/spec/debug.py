"""Any declaration made small: few species, few photographs, one epoch; the whole plan, in well under a minute."""

from collections.abc import Mapping

from earthsnap_train.spec.dataset import Dataset, SyntheticFlora
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.spec.tuning import NoTuning, TuningSpec

NUM_SPECIES = 6
PHOTOS_PER_SPECIES = 24
IMAGE_PX = 96
BATCH_SIZE = 16
NUM_TRIALS = 2


def shrunk(spec: RunSpec) -> RunSpec:
    """Under a name of its own, so that nothing of it is ever taken for the real family."""
    training = spec.training.model_copy(
        update={
            "num_epochs": 1,
            "batch_size": min(spec.training.batch_size, BATCH_SIZE),
            "records_px": min(spec.training.records_px, IMAGE_PX),
            "head_first": spec.training.head_first.model_copy(update={"num_epochs": 1, "batch_size": BATCH_SIZE}),
        }
    )
    return spec.model_copy(
        update={
            "name": f"{spec.name}-debug",
            "dataset": _few(spec.dataset),
            "backbone": spec.backbone.model_copy(update={"image_px": min(spec.backbone.image_px, IMAGE_PX)}),
            "training": training,
            "nodes": {name: _briefly(own) for name, own in spec.nodes.items() if not name.startswith("child/")},
            "tuning": _soon(spec.tuning),
            "evaluation": spec.evaluation.model_copy(update={"gates": {}}),
        }
    )


def _briefly(own: Mapping[str, object]) -> dict[str, object]:
    """A node's own settings, as short as all others. Those of one group's child are left out: the group may be gone."""
    brief: dict[str, object] = {"num_epochs": 1, "batch_size": BATCH_SIZE}
    return {
        name: _briefly(value) if isinstance(value, Mapping) else brief.get(name, value) for name, value in own.items()
    }


def _soon(tuning: TuningSpec) -> TuningSpec:
    """The same search, of two trials."""
    if isinstance(tuning, NoTuning):
        return tuning
    nodes = {name: space for name, space in tuning.nodes.items() if not name.startswith("child/")}
    return tuning.model_copy(update={"num_trials": min(tuning.num_trials, NUM_TRIALS), "nodes": nodes})


def _few(dataset: Dataset) -> Dataset:
    changes: dict[str, object] = {
        "min_images_per_species": min(dataset.min_images_per_species, 3),
        "split": dataset.split.model_copy(update={"min_per_species": 1}),
    }
    if isinstance(dataset.source, SyntheticFlora):
        flora = {"num_species": NUM_SPECIES, "num_groups": min(3, dataset.source.num_groups), "photos_per_plant": 1,
                 "plants_per_species": PHOTOS_PER_SPECIES, "image_px": IMAGE_PX}  # fmt: skip
        return dataset.model_copy(update=changes | {"source": dataset.source.model_copy(update=flora)})
    limit = {"species": NUM_SPECIES, "photos_per_species": PHOTOS_PER_SPECIES}
    return dataset.model_copy(update=changes | {"limit": dataset.limit.model_copy(update=limit)})
