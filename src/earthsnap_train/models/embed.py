"""Stage ``embed``: what the frozen trunk makes of one group's stored photographs.

Writes ``features.npy`` (float32 [N, F], rows in the order of ``index.json``'s ``image_ids``). On the CPU the ONNX trunk
computes them, so that heads are taught on exactly what serving will show them; a GPU runs the torch trunk, unless serving
computes in integers.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.context import Context
from earthsnap_train.data.image_file import open_rgb
from earthsnap_train.data.preprocess import Preprocessing, prepare
from earthsnap_train.data.shards import RecordFolder
from earthsnap_train.models.family import Floats
from earthsnap_train.spec.backbone import Backbone
from earthsnap_train.spec.model import SpecModel

BATCH_IMAGES = 256
MAX_MEGAPIXELS = 100.0  # records are our own and small


class Settings(SpecModel):
    backbone: Backbone


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    s = Settings.model_validate(settings)
    records = RecordFolder.open(inputs["records"])
    images = [
        (shard.image_ids[i], int(shard.crc32s[i]), shard, i)
        for shard in records.shards.values()
        for i in range(len(shard))
    ]
    in_torch = context.resources.accelerator == "cuda" and s.backbone.quantization == "none"
    with (inputs["trunk"] / ("trunk.safetensors" if in_torch else "trunk.onnx")).open("rb") as network:
        trunk_digest = hashlib.file_digest(network, "sha256").hexdigest()
    recipe: dict[str, object] = {
        "backbone": s.backbone.model_dump(mode="json"),
        "trunk": trunk_digest,
    }
    # A GPU's last bits vary with what else is in a batch, so there nothing is taken over.
    known = {} if in_torch else _previous_rows(context.previous, recipe)
    todo = [row for row in images if (row[0], row[1]) not in known]
    prepared = (
        prepare(open_rgb(shard.read(i).image, max_megapixels=MAX_MEGAPIXELS), preprocessing(s.backbone))
        for _, _, shard, i in todo
    )
    fresh: list[Floats] = []
    features = _torch_features if in_torch else _onnx_features
    for features_BF in features(prepared, inputs["trunk"], s.backbone, context):
        fresh.append(features_BF)
        context.events.progress(sum(map(len, fresh)), len(todo), "images")
    new = dict(zip(((i, c) for i, c, _, _ in todo), (row for part in fresh for row in part), strict=True))
    rows = [known[i, c] if (i, c) in known else new[i, c] for i, c, _, _ in images]
    np.save(out / "features.npy", np.stack(rows) if rows else np.zeros((0, 0), dtype=np.float32))
    (out / "index.json").write_text(json.dumps({"image_ids": [row[0] for row in images]}))
    (out / "notes").mkdir()
    (out / "notes" / "recipe.json").write_text(
        json.dumps(recipe | {"crc32s": [row[1] for row in images]}, sort_keys=True)
    )


def preprocessing(backbone: Backbone) -> Preprocessing:
    return Preprocessing(
        image_px=backbone.image_px, crop_fraction=backbone.crop_fraction, interpolation=backbone.interpolation
    )


def _onnx_features(
    images: Iterator[NDArray[np.uint8]], trunk: Path, backbone: Backbone, context: Context
) -> Iterator[Floats]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = context.resources.threads
    options.log_severity_level = 3
    session = ort.InferenceSession(trunk / "trunk.onnx", options, providers=["CPUExecutionProvider"])
    # One at a time: as fast as batches on a CPU, and a photograph's features cannot depend on its neighbours.
    while batch := list(islice(images, 32)):
        yield np.concatenate([session.run(None, {"images": image[None]})[0] for image in batch])


def _torch_features(
    images: Iterator[NDArray[np.uint8]], trunk: Path, backbone: Backbone, context: Context
) -> Iterator[Floats]:
    import torch
    from safetensors.torch import load_file

    from earthsnap_train.models.backbone import empty_trunk

    device = f"cuda:{context.resources.devices[0]}"
    network = empty_trunk(backbone)
    network.load_state_dict(load_file(trunk / "trunk.safetensors"))
    network = network.to(device).to(memory_format=torch.channels_last).eval()
    while batch := list(islice(images, BATCH_IMAGES)):
        images_BCHW = torch.from_numpy(np.stack(batch)).to(device).contiguous(memory_format=torch.channels_last)
        # Without TF32: heads are served behind ONNX, which has all of a float's digits.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            yield network(images_BCHW).float().cpu().numpy()


def _previous_rows(previous: Path | None, recipe: dict[str, object]) -> dict[tuple[str, int], Floats]:
    """(image id, checksum of its record) -> its features, where the last artifact was made the same way."""
    notes = previous / "notes" / "recipe.json" if previous else None
    if notes is None or previous is None or not notes.is_file():
        return {}
    earlier = json.loads(notes.read_text())
    if {name: earlier.get(name) for name in recipe} != recipe:
        return {}
    image_ids = json.loads((previous / "index.json").read_text())["image_ids"]
    return dict(zip(zip(image_ids, earlier["crc32s"], strict=True), np.load(previous / "features.npy"), strict=True))


class Embeddings:
    """Features of several groups, found by image id."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._rows: dict[str, tuple[Floats, int]] = {}
        self.num_features = 0
        for folder in folders.values():
            features_NF = np.load(folder / "features.npy", mmap_mode="r")
            self.num_features = max(self.num_features, features_NF.shape[1])
            for place, image_id in enumerate(json.loads((folder / "index.json").read_text())["image_ids"]):
                self._rows[image_id] = (features_NF, place)

    def of(self, image_ids: Sequence[str]) -> Floats:
        """[N, F], in the order asked for."""
        if not image_ids:
            return np.zeros((0, self.num_features), dtype=np.float32)
        result: Floats = np.stack([features_NF[place] for features_NF, place in map(self._rows.__getitem__, image_ids)])
        return result
