"""Stage ``export``: a taught node as ONNX, its temperature, and the proof that ONNX and torch agree.

Writes ``head.onnx``, ``trunk.onnx`` where the trunk was taught with it, and ``node.json``. A frozen trunk is not copied:
``node.json`` names it by digest, and whoever bundles takes it from stage ``trunk``. In 8-bit integers no network is equal
to torch's; then its features have to be nearly those.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from earthsnap_train.context import Context
from earthsnap_train.data.examples import Examples
from earthsnap_train.data.image_file import open_rgb
from earthsnap_train.data.preprocess import Preprocessing, prepare
from earthsnap_train.data.shards import RecordFolder
from earthsnap_train.errors import StageError
from earthsnap_train.models.backbone import as_served, empty_trunk
from earthsnap_train.models.calibration import fit_temperature
from earthsnap_train.models.embed import MAX_MEGAPIXELS, preprocessing
from earthsnap_train.models.embeddings import Embeddings
from earthsnap_train.models.family import Floats, Node, softmax
from earthsnap_train.models.heads import head_to_onnx, load_head
from earthsnap_train.models.quantize import quantize, require_faithful
from earthsnap_train.models.trunk import trunk_to_onnx
from earthsnap_train.serving.engine import Models
from earthsnap_train.spec.backbone import Backbone
from earthsnap_train.spec.model import SpecModel

MAX_DIFFERENCE = 1e-4
NUM_COMPARED = 8
NUM_COMPARED_IN_INTEGERS = 64  # a share of their variance needs some of it


class Settings(SpecModel):
    """``calibrate``: fit a temperature on val; false takes the one of input ``calibrated`` (weights that have seen val)."""

    targets: Literal["groups", "species"]
    backbone: Backbone
    classes: list[str]
    calibrate: bool


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    s = Settings.model_validate(settings)
    torch.set_num_threads(context.resources.threads)
    taught, trunk = inputs["train"], inputs["trunk"]
    weight_CF, bias_C = load_head(taught / "head.safetensors")
    head_to_onnx(out / "head.onnx", weight_CF=weight_CF, bias_C=bias_C)
    own_trunk = (taught / "trunk.safetensors").is_file()
    looks_once = empty_trunk(s.backbone)
    looks_once.load_state_dict(load_file((taught if own_trunk else trunk) / "trunk.safetensors"))
    network = as_served(looks_once, s.backbone).eval()
    pictures = Pictures({n: path for n, path in inputs.items() if n.startswith("records/")}, preprocessing(s.backbone))
    examples = Examples.read(inputs["examples"])
    if own_trunk:
        exact = context.scratch / "exact.onnx"
        trunk_to_onnx(network, s.backbone.image_px, exact)
        if s.backbone.quantization == "int8":
            quantize(exact, map(pictures.prepared, examples.of("train").image_ids), out / "trunk.onnx")
        else:
            shutil.copyfile(exact, out / "trunk.onnx")
    trunk_file = (out if own_trunk else trunk) / "trunk.onnx"
    node = Node(
        targets=s.targets,
        classes=tuple(s.classes),
        temperature=1.0,
        trunk=sha256_of(trunk_file),
        head=sha256_of(out / "head.onnx"),
        trunk_multiply_adds=json.loads((trunk / "trunk.json").read_text())["multiply_adds"],
        head_multiply_adds=weight_CF.size,
        quantization=s.backbone.quantization,
    )
    models = Models({node.trunk: trunk_file, node.head: out / "head.onnx"}, threads=context.resources.threads)
    if s.calibrate:
        val = examples.of("val")
        embeddings = Embeddings({n: path for n, path in inputs.items() if n.startswith("embed/")})
        if not len(val):
            logits_BC = np.zeros((0, len(s.classes)), dtype=np.float32)
        elif own_trunk:
            logits_BC = models.logits(node, models.features(node.trunk, map(pictures.prepared, val.image_ids)))
        else:
            logits_BC = models.logits(node, embeddings.of(val.image_ids))
        temperature = fit_temperature(logits_BC, val.labels)
    else:
        temperature = Node.model_validate_json((inputs["calibrated"] / "node.json").read_bytes()).temperature
    node = node.model_copy(update={"temperature": temperature})

    num_compared = NUM_COMPARED if node.quantization == "none" else NUM_COMPARED_IN_INTEGERS
    compared = (examples.of("test").image_ids or examples.image_ids)[:num_compared]
    images_BCHW = np.stack([pictures.prepared(i) for i in compared])
    with torch.inference_mode():
        torch_BF = network(torch.from_numpy(images_BCHW)).numpy()
    onnx_BF = models.features(node.trunk, images_BCHW)
    if node.quantization == "none":
        torch_BC, onnx_BC = torch_BF @ weight_CF.T + bias_C, models.logits(node, onnx_BF)
        probabilities = softmax(onnx_BC, temperature), softmax(torch_BC, temperature)
        parity = {"max_difference": require_equal(*probabilities, backbone=s.backbone.name)}
    else:
        parity = {"lost_share": require_faithful(onnx_BF, torch_BF, backbone=s.backbone.name, quantization="int8")}
    (out / "node.json").write_text(node.model_dump_json(indent=1))
    (out / "notes").mkdir()
    (out / "notes" / "parity.json").write_text(json.dumps(parity))


def require_equal(onnx_BC: Floats, torch_BC: Floats, *, backbone: str) -> float:
    """The greatest difference between two networks' probabilities. Raises StageError beyond the tolerance."""
    difference = float(np.abs(onnx_BC - torch_BC).max())
    if not difference <= MAX_DIFFERENCE:
        raise StageError(
            f"the exported model's probabilities differ from torch's by {difference:.2g} on {len(onnx_BC)} photographs",
            where=f"backbone.name={backbone}",
            allowed=f"at most {MAX_DIFFERENCE:g}",
            remedy="choose another backbone: this one does not survive its export to ONNX",
        )
    return difference


def sha256_of(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


class Pictures:
    """Stored photographs by image id, prepared as the network sees them."""

    def __init__(self, folders: Mapping[str, Path], preprocessing: Preprocessing) -> None:
        self._preprocessing = preprocessing
        self._place = {
            image_id: (shard, position)
            for path in folders.values()
            for shard in RecordFolder.open(path).shards.values()
            for position, image_id in enumerate(shard.image_ids)
        }

    def prepared(self, image_id: str) -> NDArray[np.uint8]:
        """uint8 [3, H, W]."""
        shard, position = self._place[image_id]
        return prepare(open_rgb(shard.read(position).image, max_megapixels=MAX_MEGAPIXELS), self._preprocessing)
