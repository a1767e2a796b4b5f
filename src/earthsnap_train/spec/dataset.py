"""What ``conf/dataset/`` declares: where photographs come from, how they are checked, and how they are split."""

from typing import Annotated, Literal

from pydantic import Field

from earthsnap_train.spec.model import SpecModel

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]

Action = Literal["keep", "fix", "convert", "resize", "strip", "repair", "drop_one", "merge", "review", "reject", "ignore"]


class FloraFaults(SpecModel):
    """Known faults to inject, as a share of all photographs, so that a person can see QA find them."""

    duplicates: Fraction
    wrong_labels: Fraction
    corrupt: Fraction


class SyntheticFlora(SpecModel):
    """Parametric drawings of plants. Groups differ in build, species within a group in detail."""

    kind: Literal["synthetic_flora"]
    num_species: Annotated[int, Field(ge=2)]
    num_groups: Positive
    plants_per_species: Positive
    photos_per_plant: Positive
    image_px: Annotated[int, Field(ge=32, le=2048)]
    seed: int
    faults: FloraFaults


class FolderSource(SpecModel):
    """Nested folders: the last names the species, those above it name ``ranks``, highest first.

    ``species_table`` (optional CSV: ``species`` and any ranks, ``scientific_name``, ``common_name``) names higher ranks
    that the folders do not.
    """

    kind: Literal["folder"]
    root: str
    ranks: list[str]
    species_table: str | None


class TableColumns(SpecModel):
    """Which column says what; ``null`` where the table has none."""

    path: str
    species: str
    scientific_name: str | None
    common_name: str | None
    observation_id: str | None
    licence: str | None
    attribution: str | None
    split: str | None


class TableSource(SpecModel):
    """One row a photograph, CSV or Parquet. ``ranks``: the columns of the higher ranks, highest first."""

    kind: Literal["table"]
    root: str
    table: str
    columns: TableColumns
    ranks: list[str]


class S3Source(SpecModel):
    """Objects under ``s3://bucket/prefix``, laid out as ``FolderSource`` describes; fetched once into ``mirror``."""

    kind: Literal["s3"]
    bucket: str
    prefix: str
    region: str | None
    endpoint_url: str | None
    mirror: str
    ranks: list[str]
    species_table: str | None


Source = Annotated[SyntheticFlora | FolderSource | TableSource | S3Source, Field(discriminator="kind")]


class Qa(SpecModel):
    """Thresholds of the checks, and what is done with each finding (``actions``: finding code -> action)."""

    min_px: Positive
    max_megapixels: Annotated[float, Field(gt=0)]
    huge_megapixels: Annotated[float, Field(gt=0)]
    max_aspect: Annotated[float, Field(gt=1)]
    blur_below: Annotated[float, Field(ge=0)]
    dark_below: Fraction
    bright_above: Fraction
    near_duplicate_bits: Annotated[int, Field(ge=0, le=32)]
    near_duplicate_difference: Fraction
    actions: dict[str, Action]


class Split(SpecModel):
    """Shares of whole clusters (an observation, or near duplicates), and a least number per species in val and test."""

    val: Fraction
    test: Fraction
    min_per_species: Count
    seed: int


class Limit(SpecModel):
    """Takes only so many groups, species per group and photographs per species; ``null`` takes all."""

    species: Positive | None
    photos_per_species: Positive | None


class Dataset(SpecModel):
    source: Source
    qa: Qa
    split: Split
    limit: Limit
    min_images_per_species: Positive
    too_few: Literal["stop", "drop"]
    reviews: str | None
    keep_originals: Literal["none", "hardlink", "copy"]
