"""Packs a folder of photographs (``<group>/<species>/<file>.jpg``) as stage ``records`` does, and times it.

    python benchmarks/records/pack.py PHOTOGRAPHS OUT [--shorter-px 160] [--workers 2]

Leaves ``OUT/records`` and ``OUT/examples``, which ``throughput.py`` reads. One photograph in ten is val, another test.
"""

import argparse
import hashlib
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from earthsnap_train.context import Context, Resources
from earthsnap_train.data import records

parser = argparse.ArgumentParser()
parser.add_argument("photographs", type=Path)
parser.add_argument("out", type=Path)
parser.add_argument("--shorter-px", type=int, default=160)
parser.add_argument("--jpeg-quality", type=int, default=92)
parser.add_argument("--workers", type=int, default=2)
parser.add_argument("--previous", type=Path)
options = parser.parse_args()

paths = sorted(options.photographs.glob("*/*/*.jpg"))
classes = sorted({path.parent.name for path in paths})
rows = {}
for number, path in enumerate(paths):
    image_id = hashlib.sha256(path.read_bytes()).hexdigest()
    rows[image_id] = {
        "image_id": image_id,
        "uri": path.relative_to(options.photographs).as_posix(),
        "species_id": path.parent.name,
        "label": classes.index(path.parent.name),
        "split": {8: "val", 9: "test"}.get(number % 10, "train"),
        "cluster_id": image_id,
        "format": "JPEG",
    }
table = pa.Table.from_pylist([rows[image_id] for image_id in sorted(rows)])
for folder in ("examples", "manifest", "records"):
    (options.out / folder).mkdir(parents=True)
pq.write_table(table, options.out / "examples" / "examples.parquet")
pq.write_table(table, options.out / "manifest" / "manifest.parquet")

settings = {
    "shorter_px": options.shorter_px,
    "jpeg_quality": options.jpeg_quality,
    "max_megapixels": 100,
    "classes": classes,
}
inputs = {
    "examples": options.out / "examples",
    "manifest": options.out / "manifest",
    "photographs": options.photographs,
}
context = Context(scratch=options.out, previous=options.previous, resources=Resources(workers=options.workers))
started = time.perf_counter()
records.run(settings, inputs, options.out / "records", context)
seconds = time.perf_counter() - started
num_bytes = sum(path.stat().st_size for path in (options.out / "records").glob("*.rec"))
print(
    f"{len(rows)} photographs in {seconds:.1f} s: {len(rows) / seconds:.0f} images/s with {options.workers} workers, "
    f"{num_bytes / len(rows) / 1000:.1f} kB each"
)
