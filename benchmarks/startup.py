"""How long the commands that are typed often take to answer, side by side with a Hydra application that does nothing.

    python benchmarks/startup.py [ROUNDS]

Every round runs each command once, so that whatever else the machine does slows all of them alike.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
BARE = """\
import hydra

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config):
    print(config.name)

main()
"""
COMMANDS = ["--help", "status", "schema", "plan +experiment=plants"]


def main() -> None:
    num_rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as folder:
        seconds = measured(Path(folder), num_rounds)
    bare = statistics.median(seconds["a bare Hydra application"])
    print("| command | median s | least s | times the bare application |\n|---|---|---|---|")
    for name, taken in seconds.items():
        middle = statistics.median(taken)
        print(f"| {name} | {middle:.2f} | {min(taken):.2f} | {middle / bare:.1f} |")


def measured(folder: Path, num_rounds: int) -> dict[str, list[float]]:
    (folder / "conf").mkdir()
    (folder / "conf" / "config.yaml").write_text("name: x\nhydra: {output_subdir: null, run: {dir: .}}\n")
    (folder / "app.py").write_text(BARE)
    commands = {"a bare Hydra application": [sys.executable, "app.py"]}
    commands |= {f"`{typed}`": [sys.executable, "-m", "earthsnap_train", *typed.split()] for typed in COMMANDS}
    path = os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY)])
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for round_number in range(num_rounds + 1):
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, check=True, capture_output=True)
            if round_number:  # the first fills the caches
                seconds[name].append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    main()
