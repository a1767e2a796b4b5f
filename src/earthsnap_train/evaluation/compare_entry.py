"""What a comparison needs of a release: from its entry in the registry alone, or before it has one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from earthsnap_train.errors import IntegrityError
from earthsnap_train.evaluation.compare_figures import Side
from earthsnap_train.evaluation.figures import FamilyMetrics, Name
from earthsnap_train.evaluation.predictions import FamilyPredictions
from earthsnap_train.models.family import Family
from earthsnap_train.release.bundle_files import model_files
from earthsnap_train.taxonomy.tree import Taxonomy

if TYPE_CHECKING:
    from earthsnap_train.release.registry import Release

# What the family's evaluation wrote -> what of it the registry keeps beside a release, below ``evaluation/``.
KEPT: Mapping[str, str] = {
    "predictions.parquet": "predictions.parquet",
    "metrics.json": "metrics.json",
    "notes/latency_ms.json": "latency_ms.json",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """``predictions`` is None for a release that was registered before they were kept.

    ``ids_now``: see ``taxonomy.names``; empty for a release that was made before this was kept.
    """

    side: Side
    family: Family
    names: Mapping[str, Name]
    predictions: FamilyPredictions | None
    ids_now: Mapping[str, str]

    @classmethod
    def of_release(cls, release: "Release") -> Self:
        """Raises IntegrityError where a file is not what it should be."""
        places = {written: release.path / "evaluation" / kept for written, kept in KEPT.items()}
        return cls._read(release.name, release.path, places)

    @classmethod
    def of_artifacts(cls, bundle: Path, evaluated: Path) -> Self:
        """A release that has no name yet: the artifacts of the stages ``bundle`` and ``evaluate/family``."""
        return cls._read("", bundle, {written: evaluated / written for written in KEPT})

    @classmethod
    def _read(cls, name: str, folder: Path, places: Mapping[str, Path]) -> Self:
        try:
            family = Family.model_validate_json((folder / "family.json").read_bytes())
            taxonomy = Taxonomy.read(folder / "taxonomy.parquet")
            size_bytes = sum(file.stat().st_size for file in model_files(family, folder).values())
            dataset = json.loads((folder / "lineage" / "dataset.json").read_bytes())
            taught_on, ids_now = dataset["taught_on"], dataset.get("ids_now", {})
            predictions, metrics, latency_ms = None, None, None
            if all(file.is_file() for file in places.values()):
                predictions = FamilyPredictions.read(places["predictions.parquet"])
                metrics = FamilyMetrics.model_validate_json(places["metrics.json"].read_bytes())
                latency_ms = json.loads(places["notes/latency_ms.json"].read_bytes())["family"]
        except (ValueError, KeyError, OSError) as error:
            raise IntegrityError(
                f"this is no whole release: {error}",
                where=str(folder),
                remedy="bring the file back; without its folder evaluation/ a release is compared by names and costs alone",
            ) from error
        side = Side(
            release=name,
            architecture=family.architecture,
            num_species=len(family.species),
            num_groups=len(family.groups),
            num_images=metrics.num_images if metrics else None,
            top1=metrics.top1 if metrics else None,
            size_bytes=size_bytes,
            multiply_adds=metrics.multiply_adds if metrics else None,
            latency_ms=latency_ms,
            taught_on_test="test" in taught_on,
        )
        names = {
            one.species_id: Name(species_id=one.species_id, scientific=one.scientific_name, common=one.common_name)
            for one in taxonomy.species
        }
        return cls(side=side, family=family, names=names, predictions=predictions, ids_now=ids_now)
