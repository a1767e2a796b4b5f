"""A sweep as a person starts it, stops it, edits below it, and goes on with it; jobs are toys (``toy.py``)."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.errors import ConfigError
from earthsnap_train.sweep.record import held
from tests.conftest import REPOSITORY, environment

TOY = Path(__file__).with_name("toy.py")
PATIENCE_S = 120

TYPED = ("name=toy", "architecture=parent_child")  # heads on one trunk would have no settings of training to search


@dataclass(frozen=True, kw_only=True)
class Toy:
    """The toy program in a folder of its own."""

    folder: Path

    def command(self, *arguments: str, conf: Path | None = None) -> list[str]:
        return [sys.executable, str(TOY), *([str(conf)] if conf else []), "-m", *arguments]

    def run(self, *arguments: str, conf: Path | None = None, **changes: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*arguments, conf=conf), cwd=self.folder, env=environment(HYDRA_FULL_ERROR="1", **changes),
            capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip

    def start(self, *arguments: str, conf: Path | None = None) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*arguments, conf=conf), cwd=self.folder, env=environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    @property
    def ran(self) -> list[list[float]]:
        """(lr, batch_size, num_epochs) of each job that was begun, in order."""
        file = self.folder / "ran.txt"
        return [[float(one) for one in line.split()] for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def sweeps(self) -> list[Path]:
        return sorted((self.folder / "outputs" / "toy" / "sweeps").glob("*"))

    def record(self, at: int = 0) -> Any:
        return json.loads((self.sweeps[at] / "sweep.json").read_text())

    def column(self, key: str, at: int = 0) -> list[Any]:
        return [job[key] for job in self.record(at)["jobs"]]

    def hold(self, *, from_job: int = 1) -> None:
        """This job and those after it do not end."""
        (self.folder / "wait").write_text(str(from_job))

    def release(self) -> None:
        (self.folder / "wait").unlink()

    def until_begun(self, num_jobs: int) -> None:
        until(lambda: len(self.ran) >= num_jobs)

    def resume(self, at: int = 0) -> str:
        return f"hydra.sweeper.resume={self.sweeps[at].relative_to(self.folder)}"


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(folder=tmp_path)


@pytest.fixture
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of our configuration that a test may edit."""
    place = tmp_path_factory.mktemp("conf") / "conf"
    shutil.copytree(REPOSITORY / "conf", place)
    return place


def rates(ran: Sequence[Sequence[float]]) -> list[float]:
    return [lr for lr, *_ in ran]


# ---- what runs


def test_comma_lists_run_as_every_combination_in_the_order_that_hydras_own_sweeper_has(toy: Toy) -> None:
    said = toy.run(*TYPED, "training.lr=0.1,0.01", "training.batch_size=range(8,25,8)")

    assert said.returncode == 0, said.stderr
    assert [(lr, int(batch)) for lr, batch, _ in toy.ran] == [
        (0.1, 8), (0.1, 16), (0.1, 24), (0.01, 8), (0.01, 16), (0.01, 24)
    ]  # fmt: skip
    assert "best     training.lr=0.01 training.batch_size=8: family.top1 1" in said.stdout
    assert {path.name for path in toy.sweeps[0].iterdir()} >= {"sweep.json", "sweep.html", "conf"}


def test_without_anything_typed_the_declared_space_is_searched_and_jobs_do_not_search_it_again(toy: Toy) -> None:
    said = toy.run(
        "name=toy",
        "architecture=parent_child",
        "tuning=quick",
        "hydra.sweeper.sampler=tpe",
        "hydra.sweeper.num_trials=3",
    )

    assert said.returncode == 0, said.stderr
    assert len(toy.ran) == 3
    for job in toy.record()["jobs"]:
        assert set(job["values"]) == {"training.lr", "training.weight_decay"}
        assert 0.0003 <= job["values"]["training.lr"] <= 0.03
    assert toy.record()["overrides"] == [*TYPED, "tuning=none"]


def test_typed_ranges_come_before_the_declared_space(toy: Toy) -> None:
    toy.run(
        *TYPED, "tuning=quick", "training.lr=tag(log,interval(0.2,0.4))", "training.batch_size=range(8,33,8)",
        "training.num_epochs=choice(3,4)", "hydra.sweeper.sampler=random", "hydra.sweeper.num_trials=4",
    )  # fmt: skip

    dimensions = {axis["key"]: axis["dimension"] for axis in toy.record()["axes"]}
    assert {key: one["kind"] for key, one in dimensions.items()} == {
        "training.lr": "float", "training.batch_size": "int", "training.num_epochs": "choice"
    }  # fmt: skip
    assert dimensions["training.lr"]["log"]
    assert (dimensions["training.batch_size"]["high"], dimensions["training.batch_size"]["step"]) == (32, 8)
    assert all(0.2 <= lr <= 0.4 and batch in (8, 16, 24, 32) and epochs in (3, 4) for lr, batch, epochs in toy.ran)


def test_several_objectives_end_with_the_jobs_that_no_other_beats(toy: Toy) -> None:
    said = toy.run(
        "name=toy",
        "architecture=parent_child",
        "training.lr=0.5,0.01,0.001",
        "hydra.sweeper.objectives={family.top1: maximize, family.ece: minimize}",
    )

    assert [line.split()[1].rstrip(":") for line in said.stdout.splitlines() if line.startswith("best ")] == [
        "training.lr=0.01", "training.lr=0.001"
    ]  # fmt: skip


def test_a_file_may_say_what_is_varied(toy: Toy, conf: Path) -> None:
    file = "# @package _global_\nname: toy\nhydra: {sweeper: {params: {training.lr: '0.1,0.2'}}}\n"
    (conf / "experiment" / "mine.yaml").write_text(file)

    toy.run("+experiment=mine", conf=conf)

    assert rates(toy.ran) == [0.1, 0.2]


def test_a_condition_on_what_is_not_there_never_holds(toy: Toy, conf: Path) -> None:
    when = "{augmentation.colour_jitter.hue: [0.1]}"
    (conf / "tuning" / "mine.yaml").write_text(f"defaults: [base]\nspace: {{weight_decay: {{when: {when}}}}}\n")

    said = toy.run(
        *TYPED, "tuning=mine", "training.augmentation.colour_jitter=null", "hydra.sweeper.sampler=random",
        "hydra.sweeper.num_trials=2", conf=conf,
    )  # fmt: skip

    assert said.returncode == 0, said.stderr
    assert [set(job["values"]) for job in toy.record()["jobs"]] == [{"training.lr"}] * 2


def test_a_webhooks_address_is_in_no_line_and_no_page(toy: Toy) -> None:
    address = "deployment.messages.webhook=https://127.0.0.1/SECRET"

    varied = toy.run(*TYPED, f"{address},https://127.0.0.1/SECRET2")
    same = toy.run(*TYPED, address, "training.lr=0.1")

    assert varied.returncode != 0
    assert "a sweep shows what it varies, and this is secret" in varied.stderr
    assert same.returncode == 0, same.stderr
    assert "SECRET" not in same.stdout + same.stderr + (toy.sweeps[0] / "sweep.html").read_text()


# ---- what stays as it was


def test_an_edit_below_a_running_sweep_reaches_none_of_its_jobs_and_none_after_a_restart(toy: Toy, conf: Path) -> None:
    toy.hold()
    running = toy.start(*TYPED, "training.lr=0.1,0.01,0.001", conf=conf)
    toy.until_begun(1)
    base = conf / "training" / "head.yaml"
    base.write_text(base.read_text().replace("num_epochs: 60", "num_epochs: 99"))
    toy.hold(from_job=2)
    toy.until_begun(2)
    running.kill()
    running.wait()
    toy.release()

    toy.run(toy.resume(), conf=conf)

    assert {epochs for _, _, epochs in toy.ran} == {60}
    assert toy.column("state") == ["done"] * 3
    (toy.folder / "ran.txt").unlink()
    toy.run(*TYPED, "training.lr=0.1", conf=conf)
    assert toy.ran == [[0.1, 64.0, 99.0]], "a new sweep takes the file as it is now"


def test_a_folder_of_ones_own_is_kept_as_well(toy: Toy, tmp_path: Path) -> None:
    mine = tmp_path / "mine" / "experiment"
    mine.mkdir(parents=True)
    (mine / "garden.yaml").write_text("# @package _global_\nname: toy\ntraining: {num_epochs: 7}\n")
    toy.run("--config-dir", "mine", "+experiment=garden", *TYPED[1:], "training.lr=tag(log,interval(0.1,0.2))",
            "hydra.sweeper.sampler=random", "hydra.sweeper.num_trials=1")  # fmt: skip
    shutil.rmtree(tmp_path / "mine")

    said = toy.run(toy.resume(), "hydra.sweeper.num_trials=2")

    assert said.returncode == 0, said.stderr
    assert [epochs for _, _, epochs in toy.ran] == [7.0, 7.0]


def test_two_sweeps_that_start_at_once_have_folders_of_their_own(toy: Toy) -> None:
    both = [toy.start(*TYPED, "hydra.sweep.dir=outputs/toy/sweeps/now", f"training.lr={lr}") for lr in ("0.1", "1")]

    assert [one.wait() for one in both] == [0, 0]
    assert [path.name for path in toy.sweeps] == ["now", "now_2"]


# ---- stopped, and going on

SEARCH = (*TYPED, "training.lr=tag(log,interval(0.0001,1))", "hydra.sweeper.sampler=tpe")


def test_a_killed_search_goes_on_with_the_job_that_ran_and_proposes_what_it_would_have(toy: Toy) -> None:
    toy.run(*SEARCH, "hydra.sweeper.num_trials=12")
    undisturbed = rates(toy.ran)
    (toy.folder / "ran.txt").unlink()
    toy.hold(from_job=5)
    killed = toy.start(*SEARCH, "hydra.sweeper.num_trials=12")
    toy.until_begun(5)
    killed.kill()
    killed.wait()
    before = rates(toy.ran)
    toy.release()

    said = toy.run(toy.resume(1))

    assert said.returncode == 0, said.stderr
    assert before == undisturbed[:5]
    assert rates(toy.ran)[5:] == undisturbed[4:], "only the job that was running ran again"
    assert [job["values"]["training.lr"] for job in toy.record(1)["jobs"]] == undisturbed
    assert toy.column("state", 1) == ["done"] * 12


def test_an_interrupt_stops_the_sweep_and_says_how_it_goes_on(toy: Toy) -> None:
    toy.hold()
    running = toy.start(*TYPED, "training.lr=0.1,0.01")
    toy.until_begun(1)
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=PATIENCE_S)
    toy.release()

    assert toy.column("state") == ["interrupted", "waiting"]
    assert f"stopped; to go on: earthsnap -m {toy.resume()}" in said
    toy.run(toy.resume())
    assert rates(toy.ran) == [0.1, 0.1, 0.01]


def test_failures_beyond_the_bound_stop_the_sweep_and_are_tried_again_when_it_goes_on(toy: Toy) -> None:
    said = toy.run(*TYPED, "training.batch_size=13,8,13,16", "hydra.sweeper.max_failures=1")

    assert [batch for _, batch, _ in toy.ran] == [13, 8, 13]
    assert "failed   2 of 4 jobs, more than max_failures allows" in said.stdout
    assert "failed: thirteen brings no luck" in said.stdout
    (toy.folder / "ran.txt").unlink()
    toy.run(toy.resume(), "hydra.sweeper.max_failures=2")
    assert [batch for _, batch, _ in toy.ran] == [13, 13, 16]


def test_a_search_may_go_on_for_longer_than_it_was_declared(toy: Toy) -> None:
    toy.run(*SEARCH, "hydra.sweeper.num_trials=2")

    toy.run(toy.resume(), "hydra.sweeper.num_trials=3")

    assert len(toy.ran) == 3
    assert toy.column("state") == ["done"] * 3


def test_a_sweep_that_is_running_is_not_started_twice(toy: Toy) -> None:
    toy.hold()
    running = toy.start(*TYPED, "training.lr=0.1,0.01")
    toy.until_begun(1)

    said = toy.run(toy.resume())

    toy.release()
    assert running.wait() == 0
    assert "this sweep is running already" in said.stderr
    assert len(toy.ran) == 2


def test_a_sweep_is_nobody_elses_from_before_its_record_is_read(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.run(*TYPED, "training.lr=0.1")
    slow = tmp_path / "modules" / "slow"
    slow.mkdir(parents=True)
    (slow / "__init__.py").write_text(
        "import time\nfrom pathlib import Path\nhere = Path(__file__).parent\n(here / 'reached').touch()\n"
        "while not (here / 'go').exists():\n    time.sleep(0.02)\n"
    )
    record = toy.record()
    record["sources"].insert(1, {"provider": "slow", "place": "pkg://slow"})  # is looked into before any job begins
    (toy.sweeps[0] / "sweep.json").write_text(json.dumps(record))
    monkeypatch.setenv("PYTHONPATH", str(slow.parent))
    resumed = toy.start(toy.resume())
    until((slow / "reached").exists)

    with pytest.raises(ConfigError, match="this sweep is running already"), held(toy.sweeps[0]):
        pass

    (slow / "go").touch()
    said, _ = resumed.communicate(timeout=PATIENCE_S)
    assert resumed.returncode == 0, said
