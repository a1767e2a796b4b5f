"""The machines of one job, as /opt/ml tells each of them, and how the processes of torch find each other on them."""

import json
from dataclasses import dataclass
from pathlib import Path

PORT = 29500  # torchrun's own


@dataclass(frozen=True, kw_only=True)
class Host:
    """``number``: of this machine, from 0. ``interface``: the network that leads to the others, where the service says so."""

    number: int
    names: tuple[str, ...]
    interface: str | None = None

    @property
    def is_first(self) -> bool:
        return self.number == 0

    def rendezvous(self, meeting: str | None) -> dict[str, str]:
        """Variables for Lightning, as torchrun would set them. ``meeting``: host:port; None: at the first machine."""
        address, _, port = (meeting or f"{self.names[0]}:{PORT}").rpartition(":")
        network = dict.fromkeys(("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"), self.interface) if self.interface else {}
        return {"MASTER_ADDR": address, "MASTER_PORT": port, "NODE_RANK": str(self.number), **network}


def read_host(config: Path) -> Host:
    """``config``: the folder of ``resourceconfig.json``; without it this is the only machine."""
    try:
        told = json.loads((config / "resourceconfig.json").read_bytes())
    except FileNotFoundError:
        return Host(number=0, names=("algo-1",))
    names = sorted(told["hosts"], key=lambda name: (len(name), name))  # algo-2 before algo-10
    interface = told.get("network_interface_name")
    return Host(number=names.index(told["current_host"]), names=tuple(names), interface=interface)
