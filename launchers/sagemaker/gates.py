"""Whether what a pipeline made is good enough: a small file of which the service's condition reads ``passed``."""

import json
from collections.abc import Mapping
from pathlib import Path

from earthsnap_train.evaluation.figures import Metrics
from earthsnap_train.evaluation.gates import GateResult, judge
from earthsnap_train.pipeline.plan import Stage
from earthsnap_train.spec.evaluation import Gate
from launchers.sagemaker import places


def write_gates(evaluated: Path, stage: Stage, gates: Mapping[str, Gate], folder: Path) -> None:
    """``evaluated``: the artifact of a stage that judges. ``gates``: on a node's own figures; the family's are judged in it."""
    if stage.kind == "evaluate_family":
        written = json.loads((evaluated / "gates.json").read_bytes())
        results = tuple(GateResult.model_validate(one) for one in written)
    else:
        metrics = Metrics.model_validate_json((evaluated / "metrics.json").read_bytes())
        results = judge({"nodes": {stage.node: metrics.summary()}}, gates)
    told = {
        "passed": all(result.passed for result in results),
        "missed": [result.reason for result in results if not result.passed],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / places.GATES_FILE).write_text(json.dumps(told, indent=1))
