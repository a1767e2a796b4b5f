"""What ``conf/dataset/`` declares: where photographs come from, how they are checked, and how they are split."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from earthsnap_train.spec.model import SpecModel

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


class FloraFaults(SpecModel):
    """Known faults to inject, as a share of all photographs, so that a person can see QA find them.

    Each photograph has at most one fault, so the three shares add up to at most 1.
    """

    duplicates: Fraction
    wrong_labels: Fraction
    corrupt: Fraction

    @model_validator(mode="after")
    def _one_fault_each(self) -> "FloraFaults":
        if self.duplicates + self.wrong_labels + self.corrupt > 1:
            raise ValueError("duplicates, wrong_labels and corrupt add up to more than 1: a photograph has one fault")
        return self


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

    ``species_table``: a CSV or Parquet file with a column ``species`` (the folders' names), and any of
    ``scientific_name``, ``common_name`` and the higher ranks that the folders do not name; ``null``: there is none.
    """

    kind: Literal["folder"]
    root: str
    ranks: list[str]
    species_table: str | None


class TableColumns(SpecModel):
    """Which column says what; ``null`` where the table has none. ``ranks``: rank -> column, where the names differ."""

    path: str
    species: str
    scientific_name: str | None
    common_name: str | None
    observation_id: str | None
    licence: str | None
    attribution: str | None
    split: str | None
    ranks: dict[str, str] | None


class TableSource(SpecModel):
    """One row a photograph, CSV or Parquet; paths start from ``root``. ``ranks``: the higher ranks, highest first."""

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

Action = Literal[
    "keep", "fix", "convert", "resize", "strip", "repair", "merge", "ignore", "drop_one", "review", "reject"
]  # fmt: skip
FindingCode = Literal[
    # the file
    "missing_file", "path_outside_root", "not_in_labels", "stray_file", "empty_class", "duplicate_row", "file_name",
    "unused_column", "unused_review",
    # its bytes
    "empty_file", "not_an_image", "unsupported_format", "extension_mismatch", "too_many_pixels", "truncated",
    "undecodable", "corrupt_data", "trailing_bytes", "format",
    # its pixels
    "too_small", "huge_image", "aspect_ratio", "no_content", "blur", "exposure", "color_mode", "bit_depth",
    "alpha_channel", "multi_frame", "exif_orientation", "bad_metadata", "private_metadata",
    # the photograph among the others
    "duplicate_exact", "duplicate_near", "label_conflict", "leak_across_splits", "split_bridge", "user_split_changed",
    "few_in_split",
    # names and ranks
    "class_name_variant", "taxon_name_variant", "hierarchy_conflict", "homonym", "no_name", "too_few",
    # a person decided
    "review_rejected", "review_relabelled",
]  # fmt: skip


class Qa(SpecModel):
    """Thresholds of the checks, and what is done with each finding.

    ``max_megapixels``: more is refused from the header. ``huge_megapixels``, ``max_aspect`` (longer by shorter side),
    ``min_px`` (shorter side), ``dark_below`` and ``bright_above`` (mean brightness) give findings.
    ``blur_below``: sharpness as ``data.qa.facts`` measures it. ``near_duplicate_bits``: how many of the 63 bits of two
    perceptual hashes may differ for the pair to be compared; ``near_duplicate_difference``: 1 less the correlation of
    fine detail that two pictures may show, once aligned, and still be one photograph.
    """

    min_px: Positive
    max_megapixels: Annotated[float, Field(gt=0, le=178)]  # above it Pillow itself refuses
    huge_megapixels: Annotated[float, Field(gt=0)]
    max_aspect: Annotated[float, Field(gt=1)]
    blur_below: Annotated[float, Field(ge=0)]
    dark_below: Fraction
    bright_above: Fraction
    near_duplicate_bits: Annotated[int, Field(ge=0, le=20)]
    near_duplicate_difference: Fraction
    actions: dict[FindingCode, Action]

    @model_validator(mode="after")
    def _every_code_has_an_action(self) -> Self:
        missing = sorted(set(get_args(FindingCode)) - set(self.actions))
        if missing:
            raise ValueError(f"actions: no action for {', '.join(missing)}")
        return self


class Split(SpecModel):
    """Shares of whole clusters (an observation, or near duplicates), and a least number per species in val and test."""

    val: Fraction
    test: Fraction
    min_per_species: Count
    seed: int

    @model_validator(mode="after")
    def _something_is_left_for_train(self) -> Self:
        if self.val + self.test >= 1:
            raise ValueError(f"val ({self.val}) and test ({self.test}) leave nothing for train")
        return self


class Limit(SpecModel):
    """Takes only so many species, and photographs of each (whole observations); ``null`` takes all."""

    species: Positive | None
    photos_per_species: Positive | None


class Dataset(SpecModel):
    """``reviews``: a CSV of a person's decisions (``path`` or ``image_id``, ``decision``, ``reason``).

    ``too_few``: whether a species with fewer than ``min_images_per_species`` photographs stops the run or is left out.
    ``keep_originals``: whether a version keeps its photographs' bytes, so that it can outlive its source.
    """

    source: Source
    qa: Qa
    split: Split
    limit: Limit
    min_images_per_species: Positive
    too_few: Literal["stop", "drop"]
    reviews: str | None
    keep_originals: Literal["none", "hardlink", "copy"]
