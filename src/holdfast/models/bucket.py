"""Models from a folder in a store: a bucket that speaks S3."""

from collections.abc import AsyncIterator

from holdfast.checkpoints.errors import StoreRefused, StoreUnavailable
from holdfast.checkpoints.stores.base import Store
from holdfast.contracts.models import ModelFile, ModelPlan
from holdfast.models.errors import SourceRefused, SourceUnavailable

_AT_ONCE = 16 * 1024 * 1024
"""Bytes of one request."""


class BucketSource:
    """Every object below a prefix. A bucket has no revisions; its objects have marks, which change with them."""

    def __init__(self, store: Store, *, name: str, prefix: str, single: bool = False) -> None:
        self._store = store
        self._may_be_single = single  # an object that is called like the prefix itself will do
        self._single = False
        self._name = name
        self._prefix = prefix.strip("/") + "/"

    async def plan(self) -> ModelPlan:
        try:
            found = await self._store.list(self._prefix)
            if not found and self._may_be_single:
                return await self._plan_single()
        except StoreUnavailable as err:
            raise SourceUnavailable(str(err)) from err
        except StoreRefused as err:
            raise SourceRefused(str(err)) from err
        files = tuple(
            ModelFile(path=each.key.removeprefix(self._prefix), size=each.size, mark=each.mark)
            for each in found
            if not each.key.endswith("/")  # what consoles write for an empty folder
        )
        return ModelPlan(source=self._name, revision="", files=files)

    async def _plan_single(self) -> ModelPlan:
        found = await self._store.head(self._prefix.rstrip("/"))
        if found is None:
            return ModelPlan(source=self._name, revision="", files=())
        self._single = True
        file = ModelFile(path=self._prefix.rstrip("/").rpartition("/")[2], size=found.size, mark=found.mark)
        return ModelPlan(source=self._name, revision="", files=(file,))

    async def read(self, plan: ModelPlan, file: ModelFile, start: int) -> AsyncIterator[bytes]:
        key = self._prefix.rstrip("/") if self._single else self._prefix + file.path
        while start < file.size:
            try:
                piece = await self._store.get(key, start=start, length=_AT_ONCE)
            except StoreUnavailable as err:
                raise SourceUnavailable(str(err)) from err
            except StoreRefused as err:
                raise SourceRefused(str(err)) from err
            if not piece:
                raise SourceUnavailable(f"{file.path} vanished, or shrank, while it was fetched")
            yield piece
            start += len(piece)

    async def close(self) -> None:
        await self._store.close()
