"""How what is said travels to Temporal and back: as JSON, by pydantic.

The SDK makes a converter for each run of a workflow, and each would learn every type anew, which took a seventh of a
control worker's time. Ours share what they have learned; what travels is the same.
"""

import functools
from typing import Any

from pydantic import TypeAdapter
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
)

_MOST_TYPES = 1024
_learned: "functools._lru_cache_wrapper[TypeAdapter[Any]]" = functools.lru_cache(_MOST_TYPES)(TypeAdapter)


class _Json(PydanticJSONPlainPayloadConverter):
    def __init__(self) -> None:
        super().__init__()
        self._type_adapter = _learned


class PayloadConverter(CompositePayloadConverter):
    """As the SDK's own for pydantic, but for the memory that all of them share."""

    def __init__(self) -> None:
        kinds = DefaultPayloadConverter.default_encoding_payload_converters
        super().__init__(*(_Json() if isinstance(each, JSONPlainPayloadConverter) else each for each in kinds))


PAYLOADS = DataConverter(payload_converter_class=PayloadConverter)
