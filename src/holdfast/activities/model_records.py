"""What is on record of registered models."""

from collections.abc import Sequence

from temporalio import activity

from holdfast.activities.translation import translated
from holdfast.contracts.models import AddModelInput, FindModelInput, ListModelsInput, ModelKey, ModelVersion
from holdfast.records.errors import UnknownModel
from holdfast.records.store import Records


class ModelRecords:
    """Every method may be repeated."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @activity.defn
    def find_model(self, order: FindModelInput) -> ModelVersion | None:
        with translated():
            return self._records.find_model(order)

    @activity.defn
    def add_model(self, order: AddModelInput) -> ModelVersion:
        with translated():
            return self._records.add_model(order)

    @activity.defn
    def read_model(self, key: ModelKey) -> ModelVersion | None:
        with translated():
            return self._records.read_model(key)

    @activity.defn
    def list_models(self, order: ListModelsInput) -> list[ModelVersion]:
        with translated():
            return self._records.list_models(order)

    @activity.defn
    def retire_model(self, key: ModelKey) -> list[ModelVersion]:
        with translated():
            try:
                return self._records.retire_model(key)
            except UnknownModel:
                return []  # a refusal is an answer

    def all(self) -> Sequence[object]:
        """Every method that a control worker registers."""
        return (self.find_model, self.add_model, self.read_model, self.list_models, self.retire_model)
