"""What a trunk that stays as it is makes of photographs, computed once and kept.

Stage ``embed``: of one group's stored photographs. Stage ``embed_originals``: of the original photographs of some splits,
as users send them. Both write ``features.npy`` (float32 [N, F], rows in the order of ``index.json``'s ``image_ids``;
[N, 2, F] where mirror images are looked at too). On the CPU the ONNX trunk computes them, so that heads are taught on
exactly what serving will show them; a GPU runs the torch trunk, unless serving computes in integers.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.context import Context
from earthsnap_train.data.examples import Examples
from earthsnap_train.data.image_file import open_rgb
from earthsnap_train.data.originals import original_reader
from earthsnap_train.data.photographs import Photographs
from earthsnap_train.data.preprocess import Preprocessing, prepare, prepare_file
from earthsnap_train.data.shards import RecordFolder
from earthsnap_train.models.family import Floats
from earthsnap_train.spec.backbone import Backbone
from earthsnap_train.spec.model import SpecModel

BATCH_IMAGES = 256
RECIPE = 1  # raised with the revision of a stage: rows of the last artifact are then made anew
MAX_MEGAPIXELS = 100.0  # records are our own and small
T = TypeVar("T", bound=np.generic)
Key = tuple[str, int]
"""An image id, and the checksum of its record."""


class Settings(SpecModel):
    """``splits``: None looks at all. ``mirrored``: looks at each photograph and at its mirror image, one look each."""

    backbone: Backbone
    splits: list[str] | None = None
    mirrored: bool = False


class OriginalsSettings(SpecModel):
    """Inputs ``examples/*`` say which photographs there are; those of ``splits`` are looked at."""

    backbone: Backbone
    photographs: Photographs
    splits: list[str]


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    s = Settings.model_validate(settings)
    records = RecordFolder.open(inputs["records"])
    places = [
        (shard, i)
        for name, shard in records.shards.items()
        if s.splits is None or name in s.splits
        for i in range(len(shard))
    ]

    def prepared(place: int) -> NDArray[np.uint8]:
        shard, i = places[place]
        return prepare(open_rgb(shard.read(i).image, max_megapixels=MAX_MEGAPIXELS), preprocessing(s.backbone))

    keys = [(shard.image_ids[i], int(shard.crc32s[i])) for shard, i in places]
    _embed(keys, prepared, s.backbone, inputs["trunk"], out, context, mirrored=s.mirrored)


def run_originals(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    s = OriginalsSettings.model_validate(settings)
    examples = [Examples.read(path).of(*s.splits) for name, path in inputs.items() if name.startswith("examples/")]
    image_ids = sorted(chain.from_iterable(one.image_ids for one in examples))
    read = original_reader(inputs["manifest"], inputs["photographs"])

    def prepared(place: int) -> NDArray[np.uint8]:
        photograph = read(image_ids[place])
        return prepare_file(photograph, preprocessing(s.backbone), max_megapixels=s.photographs.max_megapixels)

    _embed([(one, 0) for one in image_ids], prepared, s.backbone, inputs["trunk"], out, context, mirrored=False)


def _embed(
    keys: Sequence[Key],
    prepared: Callable[[int], NDArray[np.uint8]],
    backbone: Backbone,
    trunk: Path,
    out: Path,
    context: Context,
    *,
    mirrored: bool,
) -> None:
    """Writes the features of ``keys``; those that the last artifact has, made the same way, are taken from it."""
    in_torch = context.resources.accelerator == "cuda" and backbone.quantization == "none"
    file = trunk / ("trunk.safetensors" if in_torch else network_of(trunk, mirrored=mirrored))
    with file.open("rb") as network:
        trunk_digest = hashlib.file_digest(network, "sha256").hexdigest()
    recipe: dict[str, object] = {
        "revision": RECIPE,
        "libraries": {name: version(name) for name in ("onnxruntime", "pillow", "numpy")},
        "backbone": backbone.model_dump(mode="json"),
        "trunk": trunk_digest,
    }
    if mirrored:
        recipe["mirrored"] = True
    # A GPU's last bits vary with what else is in a batch, so there nothing is taken over.
    known = {} if in_torch else _previous_rows(context.previous, recipe)
    todo = [place for place, key in enumerate(keys) if key not in known]

    def looks(place: int) -> NDArray[np.uint8]:
        """[L, 3, H, W]; a photograph's own comes before that of its mirror image."""
        image = prepared(place)
        return np.stack([image, image[:, :, ::-1]]) if mirrored else image[None]

    if in_torch:
        computed = _torch_features(looks, todo, trunk, backbone, context, mirrored=mirrored)
    else:
        computed = _onnx_features(looks, todo, file, context)
    new: dict[Key, Floats] = {}
    for place, features_LF in zip(todo, computed, strict=True):
        new[keys[place]] = features_LF if mirrored else features_LF[0]
        context.events.progress(len(new), len(todo), "images")
    found = [known[key] if key in known else new[key] for key in keys]
    np.save(out / "features.npy", np.stack(found) if found else np.zeros((0, 0), dtype=np.float32))
    (out / "index.json").write_text(json.dumps({"image_ids": [image_id for image_id, _ in keys]}))
    (out / "notes").mkdir()
    (out / "notes" / "recipe.json").write_text(
        json.dumps(recipe | {"crc32s": [checksum for _, checksum in keys]}, sort_keys=True)
    )


def network_of(trunk: Path, *, mirrored: bool) -> str:
    """The ONNX file that looks once, where mirror images are looked at apart; else the one that is served."""
    return "look.onnx" if mirrored and (trunk / "look.onnx").is_file() else "trunk.onnx"


def preprocessing(backbone: Backbone) -> Preprocessing:
    return Preprocessing(
        image_px=backbone.image_px, crop_fraction=backbone.crop_fraction, interpolation=backbone.interpolation
    )


Looks = Callable[[int], NDArray[np.uint8]]


def _onnx_features(looks: Looks, places: Sequence[int], network: Path, context: Context) -> Iterator[Floats]:
    """[L, F] of each place."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = context.resources.threads
    options.log_severity_level = 3
    session = ort.InferenceSession(network, options, providers=["CPUExecutionProvider"])

    def features(place: int) -> Floats:
        # One at a time: as fast as batches on a CPU, and a photograph's features cannot depend on its neighbours.
        return np.concatenate([session.run(None, {"images": image[None]})[0] for image in looks(place)])

    return _in_threads(features, places, context.resources.workers)


def _torch_features(
    looks: Looks, places: Sequence[int], trunk: Path, backbone: Backbone, context: Context, *, mirrored: bool
) -> Iterator[Floats]:
    """[L, F] of each place."""
    import torch
    from safetensors.torch import load_file

    from earthsnap_train.models.backbone import as_served, empty_trunk

    device = f"cuda:{context.resources.devices[0]}"
    network = empty_trunk(backbone)
    network.load_state_dict(load_file(trunk / "trunk.safetensors"))
    served = network if mirrored else as_served(network, backbone)
    served = served.to(device).to(memory_format=torch.channels_last).eval()
    images = _in_threads(looks, places, context.resources.workers)
    while batch := list(islice(images, BATCH_IMAGES)):
        images_BCHW = torch.from_numpy(np.concatenate(batch)).to(device).contiguous(memory_format=torch.channels_last)
        # Without TF32: heads are served behind ONNX, which has all of a float's digits.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            features_BF = served(images_BCHW).float().cpu().numpy()
        yield from features_BF.reshape(len(batch), -1, features_BF.shape[1])


def _in_threads(do: Callable[[int], NDArray[T]], places: Sequence[int], num_threads: int) -> Iterator[NDArray[T]]:
    """What ``do`` makes of each place, in order; decoding, resizing and networks let other threads run beside them."""
    if num_threads == 1:
        yield from map(do, places)
        return
    waiting = iter(places)
    with ThreadPoolExecutor(num_threads) as threads:
        begun = deque(threads.submit(do, place) for place in islice(waiting, BATCH_IMAGES))
        while begun:
            yield begun.popleft().result()
            begun.extend(threads.submit(do, place) for place in islice(waiting, 1))


def _previous_rows(previous: Path | None, recipe: dict[str, object]) -> dict[Key, Floats]:
    """(image id, checksum of its record) -> its features, where the last artifact was made the same way."""
    notes = previous / "notes" / "recipe.json" if previous else None
    if notes is None or previous is None or not notes.is_file():
        return {}
    earlier = json.loads(notes.read_text())
    if {name: earlier[name] for name in earlier if name != "crc32s"} != recipe:
        return {}
    image_ids = json.loads((previous / "index.json").read_text())["image_ids"]
    return dict(zip(zip(image_ids, earlier["crc32s"], strict=True), np.load(previous / "features.npy"), strict=True))
