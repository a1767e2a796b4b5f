"""Lets NVIDIA DALI read our records on the CPU (in the benchmark environment, see README.md).

    python dali_read.py RECORDS [PX]

Every label comes as often as our index says; then the rate of decoding and RandomResizedCrop to PX (default 160).
"""

import json
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from nvidia.dali import fn, pipeline_def, types

folder = Path(sys.argv[1])
px = int(sys.argv[2]) if len(sys.argv) > 2 else 160
shard = json.loads((folder / "index.json").read_text())["shards"]["train"]


@pipeline_def(batch_size=64, num_threads=2, device_id=None)
def pipeline(crop):  # type: ignore[no-untyped-def]
    jpegs, labels = fn.readers.mxnet(
        path=[str(folder / "train.rec")], index_path=[str(folder / "train.idx")], name="reader", pad_last_batch=False
    )
    if crop:
        images = fn.decoders.image_random_crop(jpegs, device="cpu", output_type=types.RGB, random_area=[0.4, 1.0])
        return fn.resize(images, resize_x=px, resize_y=px), labels
    return fn.decoders.image(jpegs, device="cpu", output_type=types.RGB), labels


reader = pipeline(crop=False)
reader.build()
num_images = reader.epoch_size("reader")
assert num_images == len(shard["labels"])
seen: Counter[int] = Counter()
while sum(seen.values()) < num_images:
    images, labels = reader.run()
    wanted = min(64, num_images - sum(seen.values()))
    seen.update(int(label) for label in np.asarray(labels.as_array()).ravel()[:wanted])
assert seen == Counter(shard["labels"])
print(f"DALI reads all {num_images} records of train.rec")

reader = pipeline(crop=True)
reader.build()
reader.run()
started, done = time.perf_counter(), 0
while time.perf_counter() - started < 10:
    reader.run()
    done += 64
print(f"DALI, 2 threads, RandomResizedCrop {px}: {done / (time.perf_counter() - started):.0f} images/s")
