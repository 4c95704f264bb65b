"""Further stores, each near some machines, with copies of the committed checkpoints.

A manifest is copied after all its packs, so one that is in a mirror means that all of it is there. Whoever finds that
this is not so takes the manifest away from the mirror; the next copying brings back what is missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from holdfast.checkpoints.errors import StoreRefused
from holdfast.checkpoints.format import REPOSITORY
from holdfast.checkpoints.stores.base import Store


@dataclass(frozen=True)
class Mirror:
    """A store that is near to machines in some regions."""

    name: str
    store: Store
    near: tuple[str, ...]  # regions as offers name them, or patterns

    def is_near(self, region: str) -> bool:
        """Whether machines there restore from this store. A region that is not known is near to `*` only."""
        return any(fnmatchcase(region.upper(), each.upper()) for each in self.near)

    async def belongs_to(self, repository: bytes) -> bool:
        """Whether it holds this repository; False where it holds none.

        Raises:
            StoreRefused: it holds another one.
        """
        found = await self.store.get(REPOSITORY)
        if found is not None and found != repository:
            raise StoreRefused(
                f"mirror {self.name} holds another repository: its {REPOSITORY} has another key than the main "
                "store's. Give it a bucket or a prefix of its own"
            )
        return found is not None

    async def adopt(self, repository: bytes) -> None:
        """Make it a mirror of this repository. Raises as `belongs_to`."""
        if not await self.belongs_to(repository):
            await self.store.put(REPOSITORY, repository)
            await self.belongs_to(repository)  # another may have been quicker


def near(mirrors: Sequence[Mirror], region: str) -> list[Mirror]:
    """The mirrors that machines in this region restore from, in the order in which they are to be asked."""
    return [mirror for mirror in mirrors if mirror.is_near(region)]
