"""Lets MXNet 1.9.1 read our records and pack the same pictures itself (in the benchmark environment, see README.md).

    python oracle_read.py RECORDS

1. Every record of every shard, by key, through ``MXIndexedRecordIO``: header and image bytes are what our index says.
2. ``ImageRecordIter`` (MXNet's own C++ reader) decodes a whole shard and sees every label as often as it is there.
3. ``im2rec --pass-through`` packs the same JPEG files from our ``.lst``: its ``.rec`` and ``.idx`` equal ours.
"""

import json
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from pathlib import Path

import mxnet as mx

folder = Path(sys.argv[1])
index = json.loads((folder / "index.json").read_text())
for split, shard in index["shards"].items():
    ours = folder / f"{split}.rec"
    reader = mx.recordio.MXIndexedRecordIO(str(ours.with_suffix(".idx")), str(ours), "r")
    with tempfile.TemporaryDirectory() as temporary:
        pictures = Path(temporary) / "pictures"
        lines = ours.with_suffix(".lst").read_text().splitlines()
        for key, line in enumerate(lines):
            header, image = mx.recordio.unpack(reader.read_idx(key))
            _, label, path = line.split("\t")
            assert (header.flag, header.id, header.id2) == (0, key, 0)
            assert header.label == float(label) == shard["labels"][key]
            assert zlib.crc32(image) == shard["crc32s"][key]
            (pictures / path).parent.mkdir(parents=True, exist_ok=True)
            (pictures / path).write_bytes(image)
        print(f"{split}: MXIndexedRecordIO reads all {len(lines)} records")

        (Path(temporary) / "packed.lst").write_text(ours.with_suffix(".lst").read_text())
        tool = Path(mx.__file__).parent / "tools" / "im2rec.py"
        command = [sys.executable, tool, "--pass-through", "--num-thread", "1", f"{temporary}/packed", pictures]
        subprocess.run(command, check=True, capture_output=True)
        for suffix in (".rec", ".idx"):
            assert (Path(temporary) / f"packed{suffix}").read_bytes() == ours.with_suffix(suffix).read_bytes()
        print(f"{split}: im2rec writes the same .rec and .idx, byte for byte")

    labels: Counter[int] = Counter()
    batches = mx.io.ImageRecordIter(
        path_imgrec=str(ours), path_imgidx=str(ours.with_suffix(".idx")), data_shape=(3, 128, 128), batch_size=1
    )
    for batch in batches:
        labels[int(batch.label[0].asscalar())] += 1
    assert labels == Counter(shard["labels"])
    print(f"{split}: ImageRecordIter decodes all {sum(labels.values())}")
