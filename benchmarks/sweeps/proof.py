"""A search of twelve jobs, killed with ``kill -9`` in the fifth and started again: which jobs are repeated?

    python benchmarks/sweeps/proof.py PEERS_PYTHON

Prints a row for ours and one for hydra-optuna-sweeper, which PEERS_PYTHON has in an environment of its own. Each search
is also run once undisturbed, to see whether the restarted one tried what it would have tried.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
KILLED_IN = 5
NUM_JOBS = 12
LONGEST_S = 120
SEARCH = [
    "name=toy", "training.lr=tag(log,interval(0.0001,1))", "hydra.sweeper.sampler=tpe",
    f"hydra.sweeper.num_trials={NUM_JOBS}",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Search:
    """``begin`` and ``go_on``: arguments. Of the peer they are the same: it knows no other way."""

    python: str
    script: str
    begin: list[str]
    go_on: list[str]


def main() -> None:
    ours = Search(
        python=sys.executable, script="toy_ours.py", begin=["-m", *SEARCH],
        go_on=["-m", "hydra.sweeper.resume=outputs/toy/sweeps/one"],
    )  # fmt: skip
    ours.begin.append("hydra.sweep.dir=outputs/toy/sweeps/one")
    peer = Search(python=sys.argv[1], script="toy_peer.py", begin=["-m"], go_on=["-m"])
    print("| sweeper | killed in job | begun after the restart | values tried twice | same as undisturbed |")
    print("|---|---|---|---|---|")
    for name, search in (("ours", ours), ("hydra-optuna-sweeper", peer)):
        with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as killed:
            undisturbed = run(search, search.begin, Path(whole))
            before = kill_in(search, Path(killed), KILLED_IN)
            everything = run(search, search.go_on, Path(killed))
        tried = list(dict.fromkeys(everything))
        twice, after = len(everything) - len(tried), len(everything) - len(before)
        same = "all of it" if tried == undisturbed else f"the first {agree(tried, undisturbed)} values"
        print(f"| {name} | {len(before)} of {NUM_JOBS} | {after} | {twice} | {same} |")


def agree(one: list[str], other: list[str]) -> int:
    return next((at for at, (mine, theirs) in enumerate(zip(one, other, strict=False)) if mine != theirs), len(other))


def command(search: Search, arguments: list[str]) -> list[str]:
    return [search.python, str(HERE / search.script), *arguments]


def run(search: Search, arguments: list[str], folder: Path) -> list[str]:
    """What was tried in this folder, in order, this time and before."""
    done = subprocess.run(command(search, arguments), cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout[-1000:], done.stderr[-2000:], file=sys.stderr)
    return tried_in(folder)


def kill_in(search: Search, folder: Path, number: int) -> list[str]:
    running = subprocess.Popen(
        command(search, search.begin), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + LONGEST_S
    while len(tried_in(folder)) < number:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(running.pid, 9)
    running.wait()
    return tried_in(folder)


def tried_in(folder: Path) -> list[str]:
    file = folder / "ran.txt"
    return file.read_text().splitlines() if file.exists() else []


if __name__ == "__main__":
    main()
