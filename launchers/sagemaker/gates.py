"""Whether what a pipeline made is good enough: a small file of which the service's condition reads ``passed``."""

import json
from collections.abc import Mapping
from pathlib import Path

from earthsnap_train.evaluation.figures import Metrics
from earthsnap_train.evaluation.gates import GateResult, judge
from earthsnap_train.pipeline.plan import Stage
from earthsnap_train.spec.evaluation import Gate
from launchers.sagemaker import places


def judged_by(stage: Stage) -> dict[str, str]:
    """Nodes that an evaluation judges by themselves -> where in its artifact that is."""
    if stage.kind == "evaluate_heads":
        nodes = stage.settings["nodes"]
        return {str(node): f"{node}/" for node in nodes} if isinstance(nodes, list) else {}
    return {stage.node: ""} if stage.kind == "evaluate" and stage.node else {}


def write_gates(evaluated: Path, stage: Stage, gates: Mapping[str, Gate], folder: Path) -> None:
    """``evaluated``: the artifact of a stage that judges. ``gates``: on nodes' own figures; the family's are judged in it."""
    if stage.kind == "evaluate_family":
        written = json.loads((evaluated / "gates.json").read_bytes())
        results = tuple(GateResult.model_validate(one) for one in written)
    else:
        figures = {
            node: Metrics.model_validate_json((evaluated / f"{inside}metrics.json").read_bytes()).summary()
            for node, inside in judged_by(stage).items()
        }
        results = judge({"nodes": figures}, gates)
    told = {
        "passed": all(result.passed for result in results),
        "missed": [result.reason for result in results if not result.passed],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / places.GATES_FILE).write_text(json.dumps(told, indent=1))
