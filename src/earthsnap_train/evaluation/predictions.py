"""What a network or a family answered for photographs that it never learnt from: one row a photograph.

Two tables, both sorted by ``image_id`` and stored as Parquet: ``NodePredictions`` of one classifier, and
``FamilyPredictions`` of the whole cascade with what its parts said. Every figure of a report comes from these.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from earthsnap_train.errors import IntegrityError
from earthsnap_train.models.naming import Naming

NUM_ANSWERS = 5
NODE_VERSION, FAMILY_VERSION = b"1", b"2"

Names = NDArray[np.str_]
Floats = NDArray[np.float64]

_BOTH = [("image_id", pa.string()), ("uri", pa.string())]
_NAMES, _NUMBERS = pa.list_(pa.string()), pa.list_(pa.float32())

NODE_SCHEMA = pa.schema(
    [
        *_BOTH,
        ("truth", pa.string()),
        ("predicted", pa.string()),
        ("confidence", pa.float32()),
        ("top_classes", _NAMES),
        ("top_probability", _NUMBERS),
    ],
    metadata={b"earthsnap.format": b"predictions/node", b"earthsnap.version": NODE_VERSION},
)
FAMILY_SCHEMA = pa.schema(
    [
        *_BOTH,
        ("cluster_id", pa.string()),
        ("species_id", pa.string()),
        ("group", pa.string()),
        ("predicted_species", pa.string()),
        ("predicted_group", pa.string()),
        ("confidence", pa.float32()),
        ("top_species", _NAMES),
        ("top_probability", _NUMBERS),
        ("routed_group", pa.string()),
        ("routed_probability", pa.float32()),
        ("oracle_species", pa.string()),
        ("num_children_run", pa.int32()),
        ("flat_species", pa.string()),
        ("flat_confidence", pa.float32()),
        ("flat_top_species", _NAMES),
        ("flat_top_probability", _NUMBERS),
    ],
    metadata={b"earthsnap.format": b"predictions/family", b"earthsnap.version": FAMILY_VERSION},
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """A few answers for each photograph: what is named first, then the likeliest others; ``""`` with probability 0 where
    there are no more.

    ``names`` and ``probability`` are both [photographs, at most 5].
    """

    names: Names
    probability: Floats

    @classmethod
    def from_probabilities(cls, classes: Sequence[str], probabilities: ArrayLike, naming: Naming | None = None) -> Self:
        """``probabilities`` [photographs, classes]. Of equal ones the earlier class wins; one of 0 is no answer.

        ``naming``: says which of a family's species is named first; without it that is the likeliest.
        """
        matrix = np.asarray(probabilities, dtype=np.float32)
        assert matrix.ndim == 2, matrix.shape
        assert matrix.shape[1] == len(classes), (matrix.shape, len(classes))
        order = np.argsort(-matrix, axis=1, kind="stable") if naming is None else naming.order(matrix, NUM_ANSWERS)
        order = order[:, :NUM_ANSWERS]
        probability = np.take_along_axis(matrix, order, axis=1).astype(np.float64)
        names = np.asarray(list(classes), dtype=np.str_)[order]
        return cls(names=np.where(probability > 0, names, ""), probability=probability)

    @property
    def first(self) -> Names:
        return self.names[:, 0]

    @property
    def confidence(self) -> Floats:
        return self.probability[:, 0]

    def contain(self, truth: Names) -> NDArray[np.bool_]:
        """Whether the true name is among the answers of each photograph."""
        return np.asarray((self.names == truth[:, None]).any(axis=1))

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: NDArray[np.intp]) -> "Answers":
        return Answers(names=self.names[rows], probability=self.probability[rows])


@dataclass(frozen=True, kw_only=True, eq=False)
class NodePredictions:
    """``truth`` and the answers are classes of the node: species of a child or the flat model, groups of a parent."""

    image_id: Names
    uri: Names
    truth: Names
    answers: Answers

    def __len__(self) -> int:
        return len(self.image_id)

    def answers_for(self, image_id: Names) -> Answers:
        """The answers for these photographs, in this order. Raises IntegrityError where one was not evaluated."""
        place = {name: row for row, name in enumerate(self.image_id.tolist())}
        missing = [name for name in image_id.tolist() if name not in place]
        if missing:
            raise IntegrityError(
                f"{len(missing)} photographs were not evaluated, the first of them {missing[0]}",
                where="predictions",
                remedy="Both evaluations must come from one manifest; run them again.",
            )
        return self.answers.take(np.asarray([place[name] for name in image_id.tolist()], dtype=np.intp))

    def write(self, path: Path) -> None:
        order = np.argsort(self.image_id, kind="stable")
        answers = self.answers.take(order)
        columns = {
            "image_id": self.image_id[order],
            "uri": self.uri[order],
            "truth": self.truth[order],
            "predicted": answers.first,
            "confidence": answers.confidence,
            "top_classes": _lists(answers, answers.names),
            "top_probability": _lists(answers, answers.probability),
        }
        _write(columns, NODE_SCHEMA, path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises IntegrityError for a file that is not such a table."""
        table = _read(path, NODE_SCHEMA)
        return cls(
            image_id=_strings(table["image_id"]),
            uri=_strings(table["uri"]),
            truth=_strings(table["truth"]),
            answers=_answers(table["top_classes"], table["top_probability"]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class FamilyPredictions:
    """What a user would have been told, and why.

    Photographs of one plant share a ``cluster_id`` and are one piece of evidence. ``group`` is the true one.
    ``routed_group`` is the parent's first choice, ``oracle_species`` what the true group's child says when it is asked
    whatever the parent said. ``flat`` answers the same photographs with one network.
    """

    image_id: Names
    uri: Names
    cluster_id: Names
    species_id: Names
    group: Names
    predicted_group: Names
    answers: Answers
    routed_group: Names
    routed_probability: Floats
    oracle_species: Names
    num_children_run: NDArray[np.int32]
    flat: Answers | None

    @property
    def predicted_species(self) -> Names:
        return self.answers.first

    def __len__(self) -> int:
        return len(self.image_id)

    def write(self, path: Path) -> None:
        order = np.argsort(self.image_id, kind="stable")
        answers = self.answers.take(order)
        flat = self.flat.take(order) if self.flat else None
        columns = {
            "image_id": self.image_id[order],
            "uri": self.uri[order],
            "cluster_id": self.cluster_id[order],
            "species_id": self.species_id[order],
            "group": self.group[order],
            "predicted_species": answers.first,
            "predicted_group": self.predicted_group[order],
            "confidence": answers.confidence,
            "top_species": _lists(answers, answers.names),
            "top_probability": _lists(answers, answers.probability),
            "routed_group": self.routed_group[order],
            "routed_probability": self.routed_probability[order],
            "oracle_species": self.oracle_species[order],
            "num_children_run": self.num_children_run[order],
            "flat_species": flat.first if flat else [None] * len(self),
            "flat_confidence": flat.confidence if flat else [None] * len(self),
            "flat_top_species": _lists(flat, flat.names) if flat else [None] * len(self),
            "flat_top_probability": _lists(flat, flat.probability) if flat else [None] * len(self),
        }
        _write(columns, FAMILY_SCHEMA, path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises IntegrityError for a file that is not such a table."""
        table = _read(path, FAMILY_SCHEMA)
        has_flat = table["flat_species"].null_count == 0 and len(table) > 0
        return cls(
            image_id=_strings(table["image_id"]),
            uri=_strings(table["uri"]),
            cluster_id=_strings(table["cluster_id"]),
            species_id=_strings(table["species_id"]),
            group=_strings(table["group"]),
            predicted_group=_strings(table["predicted_group"]),
            answers=_answers(table["top_species"], table["top_probability"]),
            routed_group=_strings(table["routed_group"]),
            routed_probability=np.asarray(table["routed_probability"], dtype=np.float64),
            oracle_species=_strings(table["oracle_species"]),
            num_children_run=np.asarray(table["num_children_run"], dtype=np.int32),
            flat=_answers(table["flat_top_species"], table["flat_top_probability"]) if has_flat else None,
        )


def _write(columns: Mapping[str, Any], schema: pa.Schema, path: Path) -> None:
    table = pa.table({name: pa.array(values, type=schema.field(name).type) for name, values in columns.items()}, schema)
    pq.write_table(table, path, compression="zstd", version="2.6")


def _read(path: Path, schema: pa.Schema) -> pa.Table:
    remedy = "Run the evaluation again; its artifact is damaged or comes from another version of the program."
    try:
        table = pq.read_table(path, memory_map=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise IntegrityError("cannot be read as Parquet", where=str(path), remedy=remedy) from error
    if not table.schema.equals(schema, check_metadata=False) or table.schema.metadata != schema.metadata:
        kind = schema.metadata[b"earthsnap.format"].decode()
        version = schema.metadata[b"earthsnap.version"].decode()
        raise IntegrityError(
            "unexpected columns or version", where=str(path), allowed=f"{kind}, version {version}", remedy=remedy
        )
    return table


def _strings(column: pa.ChunkedArray) -> Names:
    return np.asarray(column.to_pylist(), dtype=np.str_)


def _lists(answers: Answers, values: NDArray[Any]) -> list[list[Any]]:
    """Rows without the padding."""
    return [row[row_names != ""].tolist() for row, row_names in zip(values, answers.names, strict=True)]


def _answers(names: pa.ChunkedArray, probability: pa.ChunkedArray) -> Answers:
    rows = list(zip(names.to_pylist(), probability.to_pylist(), strict=True))
    width = max((len(row) for row, _ in rows), default=1)
    padded = [row + [""] * (width - len(row)) for row, _ in rows]
    numbers = [row + [0.0] * (width - len(row)) for _, row in rows]
    shape = (len(rows), width)
    return Answers(
        names=np.asarray(padded, dtype=np.str_).reshape(shape),
        probability=np.asarray(numbers, dtype=float).reshape(shape),
    )
