"""The study alone, with values that are made up: what it asks for, and that a restart changes nothing of it."""

from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.spec.tuning import Pruning, Sought
from earthsnap_train.training.found import Attempt
from earthsnap_train.training.sampler import all_of
from earthsnap_train.training.study import Study, rungs

LR = {"kind": "float", "low": 0.001, "high": 1.0, "log": True}
DECAY = {"kind": "float", "low": 0.0, "high": 1.0}
DECLARED = {"lr": 0.01, "decay": 0.5}


def sought(**changes: Any) -> Sought:
    settings = {
        "engine": "optuna", "sampler": "tpe", "objective": "val_loss", "direction": "minimize", "num_trials": 12,
        "max_minutes": None, "max_failures": 0, "subset": None,
        "pruning": {"kind": "none", "min_share": 0.125, "reduction_factor": 2},
        "space": {"lr": LR, "decay": DECAY},
    }  # fmt: skip
    return Sought.model_validate(settings | changes)


def study(path: Path, wanted: Sought | None = None, *, seed: int = 0) -> Study:
    return Study(path, wanted or sought(), seed=seed, declared=DECLARED, num_epochs=8)


def whole(value: float) -> Attempt:
    return Attempt(state="complete", value=value, curve=[], seconds=1.0)


def loss(values: Any) -> float:
    return abs(values["lr"] - 0.1) + abs(values["decay"] - 0.2)


def asked(path: Path, *, seed: int = 0, reopened: bool = False, **changes: Any) -> list[dict[str, Any]]:
    """All values of a search; ``reopened``: each trial by another owner, after one that died of it."""
    owner, found = study(path, sought(**changes), seed=seed), []
    while not owner.is_exhausted:
        number, values = owner.ask()
        if reopened:
            owner = study(path, sought(**changes), seed=seed)
            assert owner.ask() == (number, values)
        found.append(values)
        goes_on = all(owner.examine(number, epoch, loss(values) + 1 / epoch) for epoch in range(1, 9))
        state: Any = "complete" if goes_on else "pruned"
        owner.tell(number, Attempt(state=state, value=loss(values), curve=[], seconds=1.0))
    return found


@pytest.mark.parametrize(
    ("sampler", "pruning"), [("tpe", "none"), ("tpe", "asha"), ("tpe", "hyperband"), ("random", "none")]
)
def test_owners_that_die_in_every_trial_ask_for_what_one_would_have_asked(
    tmp_path: Path, sampler: str, pruning: str
) -> None:
    how = {"sampler": sampler, "pruning": {"kind": pruning, "min_share": 0.125, "reduction_factor": 2}}

    assert asked(tmp_path / "a", reopened=True, **how) == asked(tmp_path / "b", **how)


def test_another_seed_asks_for_other_values_after_those_declared(tmp_path: Path) -> None:
    one, other = asked(tmp_path / "a"), asked(tmp_path / "b", seed=1)

    assert one[0] == other[0] == DECLARED
    assert not [values for values in one[1:] if values in other[1:]]


def test_the_estimator_comes_closer_than_chance(tmp_path: Path) -> None:
    many = {"num_trials": 40}

    guided = sum(map(loss, asked(tmp_path / "a", **many)[-10:]))
    assert guided < 0.6 * sum(map(loss, asked(tmp_path / "b", sampler="random", **many)[-10:]))


def test_a_trial_that_was_stopped_while_its_values_were_drawn_gets_the_rest_as_it_would_have(tmp_path: Path) -> None:
    begun = study(tmp_path / "a", sought(space={"lr": LR}))
    begun.tell(begun.ask()[0], whole(1.0))
    lr = begun.ask()[1]["lr"]

    number, values = study(tmp_path / "a").ask()

    assert (number, values) == (1, asked(tmp_path / "b")[1])
    assert values["lr"] == lr


def test_a_trial_goes_on_past_what_it_had_passed_before_a_restart(tmp_path: Path) -> None:
    wanted = sought(pruning={"kind": "asha", "min_share": 0.125, "reduction_factor": 2})
    owner = study(tmp_path / "a", wanted)
    first, _ = owner.ask()
    assert all(owner.examine(first, epoch, 0.5) for epoch in range(1, 9))
    owner.tell(first, whole(0.5))
    number, _ = owner.ask()
    assert owner.examine(number, 1, 0.4)

    again = study(tmp_path / "a", wanted)
    assert again.ask()[0] == number
    assert again.examine(number, 1, 0.4)
    assert not again.examine(number, 2, 0.9)


def test_the_best_is_the_first_of_those_that_came_to_their_end(tmp_path: Path) -> None:
    owner = study(tmp_path / "a")
    assert owner.best() is None
    for state, value in (("pruned", 0.1), ("failed", None), ("complete", 0.3), ("complete", 0.2), ("complete", 0.2)):
        owner.tell(owner.ask()[0], Attempt(state=state, value=value, curve=[], seconds=2.0))  # type: ignore[arg-type]

    best = owner.best()

    assert best is not None
    assert best.number == 3
    assert owner.seconds == 10.0


def test_what_matters_is_known_once_enough_trials_came_to_their_end(tmp_path: Path) -> None:
    owner = study(tmp_path / "a", sought(num_trials=30))
    for at in range(30):
        number, values = owner.ask()
        owner.tell(number, whole(abs(values["lr"] - 0.1)))
        if at == 2:
            assert owner.importances() == {}

    shares = owner.importances()

    assert shares["lr"] > 0.8
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3)


def test_rungs_are_powers_and_none_is_the_end() -> None:
    def of(kind: str, num_epochs: int) -> set[int]:
        return rungs(Pruning(kind=kind, min_share=0.1, reduction_factor=3), num_epochs)  # type: ignore[arg-type]

    assert of("asha", 60) == {6, 18, 54}
    assert of("asha", 27) == {3, 9}
    assert of("asha", 3) == {1}
    assert of("asha", 1) == set()
    assert of("none", 60) == set()


def test_a_grid_goes_through_every_combination_in_an_order_of_its_seed() -> None:
    grid = sought(
        sampler="grid", space={"a": {"kind": "choice", "of": ["x", None]}, "b": {"kind": "int", "low": 1, "high": 3}}
    )

    assert len(all_of(grid, seed=0)) == grid.most_trials == 6
    assert all_of(grid, seed=0) == all_of(grid, seed=0) != all_of(grid, seed=1)


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "50% of? all #1"
    folder.mkdir()

    study(folder / "study.sqlite").ask()

    assert [path.name for path in folder.iterdir()] == ["study.sqlite"]
