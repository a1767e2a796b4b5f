"""The shapes of what is asked and answered, for the OpenAPI page alone: nothing is validated with them at run time."""

from typing import Any, Final, Literal

from pydantic import BaseModel

from earthsnap_train.serving.body import IMAGE_TYPES, JSON_TYPE


class Taxon(BaseModel):
    rank: str
    name: str
    scientific_name: str | None = None
    common_name: str | None = None
    probability: float


class SaidAnswer(BaseModel):
    """All null where nothing was recognised."""

    rank: str | None
    name: str | None
    scientific_name: str | None
    common_name: str | None
    probability: float | None


class SpeciesProbability(BaseModel):
    species_id: str
    scientific_name: str
    common_name: str | None
    probability: float
    group: str


class GroupProbability(BaseModel):
    name: str
    probability: float


class OnePhotograph(BaseModel):
    """What a photograph alone said."""

    species: list[SpeciesProbability]
    group: GroupProbability


class Answered(BaseModel):
    request_id: str
    release: str
    answer: SaidAnswer
    reason: Literal["certain", "rolled_up", "not_recognised"]
    lineage: list[Taxon]
    group: GroupProbability
    species: list[SpeciesProbability]
    photographs: list[OnePhotograph]


class Info(BaseModel):
    release: str
    digest: str
    family: str
    species: int
    groups: list[str]
    classes_digest: str
    engine: str
    precision: str
    preprocessing: dict[str, Any]
    memory_mb: float


class Problem(BaseModel):
    code: str
    message: str
    request_id: str


class Refused(BaseModel):
    error: Problem


_REFUSED: Final = {"content": {JSON_TYPE: {"schema": Refused.model_json_schema()}}}
# Merged into the OpenAPI description of the routes that name a plant.
IDENTIFY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in IMAGE_TYPES},
            JSON_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["photographs"],
                    "properties": {
                        "photographs": {
                            "description": "Several photographs of one plant, answered together.",
                            "type": "array",
                            "items": {"type": "string", "format": "byte"},
                        }
                    },
                }
            },
        },
    },
    "responses": {
        "400": {"description": "No photograph", **_REFUSED},
        "408": {"description": "The body came too slowly", **_REFUSED},
        "413": {"description": "Too many bytes or pixels", **_REFUSED},
        "415": {"description": "A format that is not taken", **_REFUSED},
        "422": {"description": "JSON that holds no photographs", **_REFUSED},
        "429": {"description": "Too much waits; Retry-After says when to come back", **_REFUSED},
        "503": {"description": "No answer in time, or the server is about to end", **_REFUSED},
    },
}
