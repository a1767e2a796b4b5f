"""What may be done about species with few photographs."""

from typing import Literal

Imbalance = Literal["none", "sqrt", "balanced", "logit_adjustment"]
