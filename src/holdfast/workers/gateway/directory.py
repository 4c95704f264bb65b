"""Which endpoints there are, under which names, and whose token opens which."""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from math import inf
from time import monotonic

from holdfast.contracts.endpoints import EndpointCard
from holdfast.workers.gateway.doorkeeper import Away, Doorkeeper

UNKNOWN_EVERY = 1.0  # seconds, at least, between two refreshes because of names that nobody knows
LOOKUP_WITHIN = 5.0  # seconds that a request waits for such a reading

log = logging.getLogger("holdfast.gateway")


class Directory:
    """The cards, as last read. When they cannot be read anew, the old ones go on counting."""

    def __init__(
        self,
        doorkeeper: Doorkeeper,
        *,
        every: timedelta,
        changed: Callable[[Mapping[str, EndpointCard]], None] = lambda _: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._doorkeeper = doorkeeper
        self._every = every.total_seconds()
        self._changed = changed
        self._clock = clock
        self._by_name: dict[str, EndpointCard] = {}
        self._by_alias: dict[str, EndpointCard] = {}
        self._by_model: dict[str, EndpointCard] = {}
        self.known = False
        """Whether it was ever read."""
        self._asked_at = -inf
        self._reading: asyncio.Task[None] | None = None
        self.trouble = "the directory of endpoints was not read yet"
        """Why the newest reading failed; "" if it did not."""

    async def keep(self) -> None:
        """Read again and again, until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._every)

    async def refresh(self, *, within: float | None = None) -> None:
        """Read now; everybody who asks meanwhile waits for the same reading, `within` so many seconds.

        Never raises for what goes wrong.
        """
        if self._reading is None or self._reading.done():
            self._asked_at = self._clock()
            self._reading = asyncio.create_task(self._read())
        await asyncio.wait((self._reading,), timeout=within)

    async def close(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def named(self, name: str) -> EndpointCard | None:
        """The endpoint that this name leads to, looked for anew if it is unknown and that was not done a moment ago."""
        return await self._find(lambda: self._by_name.get(name) or self._by_alias.get(name))

    async def serving(self, model: str) -> EndpointCard | None:
        """The endpoint that is called so, or has a model of this name."""
        return await self._find(
            lambda: self._by_name.get(model) or self._by_alias.get(model) or self._by_model.get(model)
        )

    def open_to(self, token: str | None) -> list[EndpointCard]:
        """The endpoints that take this token, by name; those that need none, too."""
        digest = digest_of(token)
        return [card for card in self._by_name.values() if admits(card, digest)]

    def knows(self, token: str | None) -> bool:
        """Whether some endpoint was given this token: then it is a secret of ours, and no replica may see it."""
        digest = digest_of(token)
        return digest is not None and any(_matches(card.token_hashes, digest) for card in self._by_name.values())

    async def _find(self, look: Callable[[], EndpointCard | None]) -> EndpointCard | None:
        if (found := look()) is not None:
            return found
        await self.refresh_soon()
        return look()

    async def refresh_soon(self) -> None:
        """Read anew for a name or a token that nobody knows, unless that was done a moment ago."""
        if (self._reading is not None and not self._reading.done()) or self._clock() - self._asked_at >= UNKNOWN_EVERY:
            await self.refresh(within=LOOKUP_WITHIN)

    async def _read(self) -> None:
        try:
            cards = sorted(await self._doorkeeper.cards(), key=lambda card: card.name)
        except Away as err:
            if str(err) != self.trouble:
                log.warning("the directory of endpoints cannot be read: %s", err)
            self.trouble = str(err) or "no answer"
            return
        self.known, self.trouble = True, ""
        self._by_name = {card.name: card for card in cards}
        self._by_alias = {alias: card for card in reversed(cards) for alias in card.aliases}
        self._by_model = {model: card for card in reversed(cards) for model in card.models}  # the first name wins
        self._changed(self._by_name)


def digest_of(token: str | None) -> str | None:
    """SHA-256 in hex, as cards carry it."""
    return None if token is None else hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def admits(card: EndpointCard, digest: str | None) -> bool:
    """Whether the endpoint takes who shows the token with this digest."""
    return card.door.open or (digest is not None and _matches(card.token_hashes, digest))


def _matches(hashes: Iterable[str], digest: str) -> bool:
    # How long a comparison takes says nothing about how much was right.
    return any(hmac.compare_digest(each.lower(), digest) for each in hashes)
