"""Each layer imports only those below it, and a few packages have one door: the contracts are in pyproject.toml."""

import tomllib

import pytest
from importlinter.cli import lint_imports

from tests.conftest import REPOSITORY


def test_every_contract_is_kept(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (REPOSITORY / "src", REPOSITORY):
        monkeypatch.syspath_prepend(str(folder))

    code = lint_imports(config_filename=str(REPOSITORY / "pyproject.toml"), no_cache=True)

    assert code == 0, capsys.readouterr().out


def test_every_package_has_its_layer() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    named = {name.strip().split(".")[-1] for layer in layers for part in layer.split("|") for name in part.split(":")}

    places = {
        p.stem
        for p in (REPOSITORY / "src" / "earthsnap_train").iterdir()
        if p.suffix == ".py" or (p / "__init__.py").exists()
    }

    assert places - named == {"__init__"}
