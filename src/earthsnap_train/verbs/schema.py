"""``schema``: the JSON Schema of a declaration, for editors."""

import json

from earthsnap_train.spec.run import RunSpec


def run(spec: RunSpec) -> tuple[int, None]:
    print(json.dumps(RunSpec.model_json_schema(by_alias=True), indent=1))  # noqa: T201
    return 0, None
