"""A stage whose code changed gets a new revision, or somebody decides that its result cannot differ."""

import ast
import hashlib
import json
from pathlib import Path

import pytest

from earthsnap_train.pipeline.stages import KINDS
from tests.conftest import REPOSITORY

GOLDEN = Path(__file__).parent / "revisions.json"
PACKAGE = REPOSITORY / "src" / "earthsnap_train"
REFRESH = "python -m tests.pipeline.test_revisions"
# What a module imports decides its result too; these only carry words, events or errors from place to place.
NO_RESULT = ("context", "errors", "processes", "tracking", "spec", "pipeline")


def code_of(kind: str) -> str:
    """Digest of the stage's module and all of ours that it imports, without comments, docstrings and layout."""
    seen: dict[str, str] = {}
    todo = [KINDS[kind].run.partition(":")[0]]
    while todo:
        name = todo.pop()
        path = PACKAGE / f"{name.replace('.', '/')}.py"
        if name in seen or name.split(".")[0] in NO_RESULT or not path.is_file():
            continue
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("earthsnap_train."):
                module = node.module.removeprefix("earthsnap_train.")
                todo += [module, *(f"{module}.{alias.name}" for alias in node.names)]
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
                node.body = node.body[1:]
        seen[name] = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize("kind", KINDS)
def test_changed_code_has_a_new_revision(kind: str) -> None:
    known = json.loads(GOLDEN.read_text())
    assert kind in known, f"a new kind of stage: {REFRESH}"
    if known[kind]["code"] != code_of(kind):
        raised = KINDS[kind].revision != known[kind]["revision"]
        what = (
            "its revision was raised"
            if raised
            else ("its revision in pipeline/stages.py was not: raise it, unless equal inputs still give equal bytes")
        )
        pytest.fail(f"the code of stage kind {kind!r} changed; {what}. Then: {REFRESH}")


def refresh() -> None:
    known = {kind: {"revision": KINDS[kind].revision, "code": code_of(kind)} for kind in KINDS}
    GOLDEN.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    refresh()
