"""The peer: the same family behind LitServe, with eager torch or ONNX Runtime, as one would write it there.

    python litserve_peer.py RELEASE torch|onnxruntime PORT [BACKBONE.json]

Run by ``peers.py`` in an environment of its own. The trunk runs once for a photograph, as in our own server, and the
children are asked by the same rule; preparation is our own function, so that equal bodies become equal arrays.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import litserve as ls
import numpy as np
from fastapi import Depends, Request, Response


async def body_of(request: Request) -> bytes:
    """LitServe's own reading knows JSON and forms alone; a photograph comes as it is."""
    return await request.body()


Body = Annotated[bytes, Depends(body_of)]
RELEASE, ENGINE, PORT = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])


class FamilyAPI(ls.LitAPI):
    def setup(self, device: str) -> None:
        from earthsnap_train.models.family import Family
        from earthsnap_train.release.bundle_files import model_files

        self.family = Family.model_validate_json((RELEASE / "family.json").read_bytes())
        files = model_files(self.family, RELEASE)
        if ENGINE == "onnxruntime":
            import onnxruntime as ort

            options = ort.SessionOptions()
            options.intra_op_num_threads = 1
            sessions = {d: ort.InferenceSession(f.read_bytes(), options) for d, f in files.items()}
            self.run = lambda digest, name, array: sessions[digest].run(None, {name: array})[0]
        else:
            import onnx
            import torch
            from onnx import numpy_helper

            from earthsnap_train.models.backbone import initial_trunk
            from earthsnap_train.models.packages import package_file
            from earthsnap_train.spec.backbone import Backbone

            torch.set_num_threads(1)
            backbone = Backbone.model_validate_json(Path(sys.argv[4]).read_bytes())
            trunk = initial_trunk(backbone, seed=0, weights=package_file(backbone.weights.package)).eval()
            modules = {}
            for digest, file in files.items():
                if digest == self.family.root.trunk:
                    modules[digest] = trunk
                    continue
                tensors = {t.name: numpy_helper.to_array(t) for t in onnx.load(file).graph.initializer}
                weight = next(t for t in tensors.values() if t.ndim == 2)
                bias = next(t for t in tensors.values() if t.ndim == 1)
                linear = torch.nn.Linear(max(weight.shape), len(bias))
                linear.weight.data = torch.from_numpy((weight if len(weight) == len(bias) else weight.T).copy())
                linear.bias.data = torch.from_numpy(bias.copy())
                modules[digest] = linear

            def run(digest: str, name: str, array: np.ndarray) -> np.ndarray:
                with torch.inference_mode():
                    return modules[digest](torch.from_numpy(array)).numpy()

            self.run = run

    def decode_request(self, request: Body) -> bytes:
        return request

    def predict(self, body: bytes) -> dict:
        from earthsnap_train.data.preprocess import prepare_file
        from earthsnap_train.models.family import softmax

        family = self.family
        image = prepare_file(body, family.preprocessing, max_megapixels=60)
        features = self.run(family.root.trunk, "images", image[None])
        root = softmax(self.run(family.root.head, "features", features), family.root.temperature)
        groups = family.group_probabilities(root)
        chosen = family.children_to_run(groups)
        asked = {}
        for place, group in enumerate(family.groups):
            child = family.child(group)
            if chosen[0, place] and child is not None:
                logits = self.run(child.head, "features", features)
                asked[group] = (np.arange(1), softmax(logits, child.temperature))
        species = family.species_probabilities(root, asked)[0]
        order = np.argsort(-species)[:5]
        return {"species": [{"species_id": family.species[i], "probability": float(species[i])} for i in order]}

    def encode_response(self, output: dict) -> Response:
        return Response(content=json.dumps(output), media_type="application/json")


if __name__ == "__main__":
    server = ls.LitServer(FamilyAPI(), accelerator="cpu", devices=1, workers_per_device=1)
    server.run(port=PORT, host="127.0.0.1", generate_client_file=False, log_level="warning")
