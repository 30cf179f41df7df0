"""The base class of records and their parts, a pydantic model, and the types of its fields."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0, lt=2**63)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Finite
Texts = list[str]
Shape = list[Count | None]


class Part(BaseModel):
    """Base class of records and their parts.

    Unknown keys are kept, so that a version of expt does not lose what another one has written.
    """

    # Strict: a damaged record must be reported, not converted to something plausible.
    model_config = ConfigDict(
        strict=True, extra="allow", frozen=True, defer_build=True, protected_namespaces=()
    )
    needed: ClassVar[tuple[str, ...]] = ()
    """Fields that are optional while a run starts, but needed to use it or to resume it."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Creates a record from values; tuples become lists.

        Raises:
            pydantic.ValidationError: A value is missing or wrong.
        """
        return cls.model_validate(plain_values(values))

    def to_mapping(self) -> dict[str, Any]:
        """Returns the values for JSON, without fields that were never set."""
        return self.model_dump(by_alias=True, exclude_unset=True)

    def first_missing(self) -> str | None:
        """Returns the path of the first needed field that is missing, such as `data.name`."""
        for name in self.needed:
            if name not in self.model_fields_set or getattr(self, name) is None:
                return name
        for name in self.model_fields_set & type(self).model_fields.keys():
            value = getattr(self, name)
            inner = enumerate(value) if isinstance(value, list) else [(None, value)]
            for index, part in inner:
                missing = part.first_missing() if isinstance(part, Part) else None
                if missing is not None:
                    return ".".join(str(one) for one in (name, index, missing) if one is not None)
        return None


def plain_values(value: Any) -> Any:
    """Converts records and tuples inside a value to mappings and lists, as JSON has them."""
    if isinstance(value, Part):
        return value.to_mapping()
    if isinstance(value, list | tuple):
        return [plain_values(one) for one in value]
    if isinstance(value, Mapping):
        return {key: plain_values(one) for key, one in value.items()}
    return value
