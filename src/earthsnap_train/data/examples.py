"""Which photographs a node learns from and is judged on, as stage ``select`` wrote them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Rows sorted by image id; ``labels`` [N] are places in the node's class list."""

    image_ids: Sequence[str]
    species_ids: Sequence[str]
    labels: NDArray[np.int64]
    splits: Sequence[str]
    cluster_ids: Sequence[str]

    @classmethod
    def read(cls, folder: Path) -> Self:
        table = pq.read_table(folder / "examples.parquet")
        return cls(
            image_ids=table["image_id"].to_pylist(),
            species_ids=table["species_id"].to_pylist(),
            labels=table["label"].to_numpy().astype(np.int64),
            splits=table["split"].to_pylist(),
            cluster_ids=table["cluster_id"].to_pylist(),
        )

    def of(self, *splits: str) -> Self:
        """The rows of some splits, in the same order."""
        keep = [place for place, split in enumerate(self.splits) if split in splits]
        return type(self)(
            image_ids=[self.image_ids[i] for i in keep],
            species_ids=[self.species_ids[i] for i in keep],
            labels=self.labels[keep],
            splits=[self.splits[i] for i in keep],
            cluster_ids=[self.cluster_ids[i] for i in keep],
        )

    def __len__(self) -> int:
        return len(self.image_ids)
