"""The endpoint as it is, in front of stand-ins: ``python front_of_stand_ins.py SPEC.json FAMILY ENDPOINT ORDERS``."""

import sys
from pathlib import Path

from earthsnap_train.errors import EarthsnapError
from earthsnap_train.release.registry import Registry
from earthsnap_train.serving.front import serve_endpoint
from earthsnap_train.spec.run import RunSpec

STAND_IN = Path(__file__).with_name("stand_in.py")


def main(spec: str, family: str, endpoint: str, orders: str) -> None:
    def command(release: str, socket: Path) -> list[str]:
        return [sys.executable, str(STAND_IN), release, str(socket), orders]

    declared = RunSpec.model_validate_json(Path(spec).read_bytes())
    try:
        serve_endpoint(declared, Registry(Path(declared.paths.registry)), family, endpoint, command=command)  # type: ignore[arg-type]
    except EarthsnapError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
