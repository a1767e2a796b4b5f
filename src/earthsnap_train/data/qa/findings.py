"""What a check can say: every code with its severity, what it means and what a person can do about it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from earthsnap_train.spec.dataset import FindingCode

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """``path``: POSIX, from the source's root (of a folder, a species or a column where no file is meant).

    ``related``: the other file of a pair. ``undecodable``: there is no photograph; only reject is left.
    """

    code: FindingCode
    path: str
    related: str | None = None
    detail: str = ""
    undecodable: bool = False

    @property
    def severity(self) -> Severity:
        return MEANINGS[self.code].severity


class Meaning(NamedTuple):
    """``title``: a heading. ``why``: what it does to a model. ``advice``: what to do, where that is not plain."""

    severity: Severity
    title: str
    why: str
    advice: str = ""


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first, then by code and path."""
    return sorted(
        set(findings), key=lambda f: (SEVERITIES.index(f.severity), f.code, f.path, f.related or "", f.detail)
    )


_AGAIN = "Fetch or export the file again."
MEANINGS: Mapping[FindingCode, Meaning] = {
    "missing_file": Meaning("error", "Row without a file", "The table names a photograph that is not there.", _AGAIN),
    "path_outside_root": Meaning(
        "error",
        "Path outside the source",
        "The path leads out of the folder of photographs; following it could read anything on this machine.",
        "Move the photograph into the folder, or mend the path.",
    ),
    "not_in_labels": Meaning(
        "warning",
        "File without a row",
        "The photograph lies in the folder, but the table does not say what it shows.",
        "Add it to the table, or decide with relabel:SPECIES in the reviews.",
    ),
    "stray_file": Meaning("info", "Not a photograph", "Left behind by an operating system or an editor; passed over."),
    "empty_class": Meaning("warning", "Folder without photographs", "No species can be learnt from it."),
    "duplicate_row": Meaning("info", "Row given twice", "The table lists the same photograph twice with one label."),
    "file_name": Meaning(
        "info",
        "Unusual file name",
        "Fine here, but such names often break in shells, tables, URLs and on other systems.",
    ),
    "unused_column": Meaning(
        "info",
        "Column not used",
        "The table has a column that could say more.",
        "Name it under dataset.source.columns.",
    ),
    "unused_review": Meaning(
        "info", "Review without a photograph", "A decision in the reviews matches no photograph any more."
    ),
    "empty_file": Meaning("error", "Empty file", "The file has no bytes.", _AGAIN),
    "not_an_image": Meaning("error", "Not an image", "Something else under the name of a photograph.", _AGAIN),
    "unsupported_format": Meaning(
        "error", "Unsupported format", "A format that is not read here.", "Export it as JPEG or PNG."
    ),
    "extension_mismatch": Meaning(
        "warning", "Wrong extension", "The name promises another format than the bytes hold; read by its content."
    ),
    "too_many_pixels": Meaning(
        "error",
        "Too many pixels",
        "More than is allowed, by the header: a decompression bomb, or a scan by mistake. Nothing was decoded.",
        "Scale it down, or raise dataset.qa.max_megapixels.",
    ),
    "truncated": Meaning("error", "Cut off", "The file ends before the picture does.", _AGAIN),
    "undecodable": Meaning("error", "Cannot be decoded", "The file is damaged.", _AGAIN),
    "corrupt_data": Meaning(
        "warning", "Damaged inside", "The file decodes, but part of the picture is noise, grey or shifted.", _AGAIN
    ),
    "trailing_bytes": Meaning(
        "warning",
        "Bytes behind the picture",
        "Something is hidden behind the end of the picture, perhaps another file.",
    ),
    "format": Meaning("info", "Other format", "Neither JPEG nor PNG; read here, but not by every program."),
    "too_small": Meaning(
        "error", "Too small", "Too few pixels to recognise anything.", "Lower dataset.qa.min_px to keep it."
    ),
    "huge_image": Meaning("warning", "Very large", "Slow to read; scaled down when the records are made."),
    "aspect_ratio": Meaning("warning", "Very long or tall", "Scaling to a square would leave little of it."),
    "no_content": Meaning("warning", "Nothing to see", "The picture is of one colour."),
    "blur": Meaning("warning", "Blurred", "Hardly any fine detail."),
    "exposure": Meaning("info", "Very dark or very bright", "Much of the picture may be lost in black or white."),
    "color_mode": Meaning("info", "Not RGB", "Grey, palette or CMYK; converted when it is read."),
    "bit_depth": Meaning("warning", "16 bits a sample", "Scaled to 8 bits when it is read."),
    "alpha_channel": Meaning("warning", "Transparent", "Laid on white when it is read; what was cut out stays white."),
    "multi_frame": Meaning("warning", "Animated", "Several frames; only the first would be used."),
    "exif_orientation": Meaning("warning", "Stored turned", "Turned upright when it is read."),
    "bad_metadata": Meaning("info", "Damaged metadata", "The picture is fine."),
    "private_metadata": Meaning(
        "warning",
        "Place of the photograph",
        "The file says where it was taken. Nothing that is made from it here keeps that; the original still has it.",
    ),
    "duplicate_exact": Meaning(
        "warning", "Exact duplicate", "The same bytes twice; counted twice it would weigh twice."
    ),
    "duplicate_near": Meaning(
        "warning",
        "Near duplicate",
        "The same photograph, scaled, cropped, recompressed or mirrored; the better one stays.",
    ),
    "label_conflict": Meaning(
        "error",
        "One picture, two labels",
        "The same photograph under two species: one of them must be wrong, and both stay out until someone decides.",
        "Keep the right one and reject the other.",
    ),
    "leak_across_splits": Meaning(
        "error",
        "Leak across your splits",
        "The same photograph or plant on two sides of your own split: results look better than they are.",
    ),
    "split_bridge": Meaning(
        "warning",
        "Joins two splits",
        "A new photograph belongs with older ones of two different splits; in either it would leak.",
    ),
    "user_split_changed": Meaning(
        "warning",
        "Split changed",
        "Your table moves a photograph that an earlier version has placed; it stays where it was.",
    ),
    "few_in_split": Meaning(
        "warning",
        "Few photographs in a split",
        "Too few whole plants to give val and test their least number without emptying train.",
        "Take more photographs, of different plants.",
    ),
    "class_name_variant": Meaning(
        "warning", "Two spellings of one species", "They differ in case, spaces, accents or author; taken as one."
    ),
    "taxon_name_variant": Meaning("warning", "Two spellings of one rank", "Taken as one."),
    "hierarchy_conflict": Meaning(
        "error",
        "Two parents",
        "A species stands under two parents; these are the photographs that contradict the most.",
        "Move them, or correct the ranks.",
    ),
    "homonym": Meaning(
        "error", "One name, two taxa", "One name for different taxa of a rank.", "Give each its own name."
    ),
    "no_name": Meaning("error", "No name", "The species' name holds neither letter nor digit."),
    "too_few": Meaning("warning", "Too few photographs", "The species was left out (dataset.too_few: drop)."),
    "review_rejected": Meaning("info", "Rejected in a review", "A person decided."),
    "review_relabelled": Meaning("info", "Relabelled in a review", "A person decided."),
}
