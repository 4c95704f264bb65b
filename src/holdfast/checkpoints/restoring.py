"""One restore, as the control side sees it: the manifest goes to the agent in pages, addresses as it asks for them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from holdfast.checkpoints import wire
from holdfast.checkpoints.format import Manifest, ManifestKey, Repository
from holdfast.checkpoints.serving import SILENCE, Questions, Signer, get_addresses, raise_ours
from holdfast.contracts.channel import AgentError, Channel, Json
from holdfast.contracts.checkpoints import RestoreSummary


@dataclass(frozen=True, kw_only=True)
class Restore:
    """The order. The agent checks the manifest's bytes against `key` once more, and each chunk against its name."""

    store: Signer
    repository: Repository
    channel: Channel
    manifest: Manifest
    data: bytes
    key: str
    address_life: timedelta
    patience: Mapping[str, float] = field(default_factory=dict)  # with the store; empty: all that the agent has

    async def run(self, workspace: str) -> RestoreSummary:
        began = time.monotonic()
        blobs = wire.cut_bytes(self.data)

        async def page(params: Json) -> Json:
            return {"blob": blobs[params["page"]]}

        async def get_urls(params: Json) -> Json:
            return await get_addresses(self.store, params["objects"], self.manifest.packs, self.address_life)

        order = {
            "manifest": ManifestKey.parse(self.key).digest,
            "pages": len(blobs),
            "workspace": workspace,
            "key": self.repository.key.hex(),
            **self.patience,
        }
        questions = Questions({"manifest": page, "get_urls": get_urls})
        try:
            result = await self.channel.call("restore", order, answer=questions, timeout=SILENCE)
        except AgentError as err:
            raise_ours(err)
        return RestoreSummary(
            manifest=self.key,
            files=result["files"],
            bytes_total=result["bytes"],
            bytes_fetched=result["bytes_fetched"],
            duration=timedelta(seconds=time.monotonic() - began),
        )
