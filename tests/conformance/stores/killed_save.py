"""A process that begins to save a folder and is killed by its own hand in the middle: `python -m ... FOLDER`.

The store's settings come by standard input, its keys by STORE_KEYS.
"""

import asyncio
import json
import os
import signal
import sys

from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.stores.s3 import S3Store
from holdfast.contracts.channel import Json
from holdfast.contracts.checkpoints import SaveReason
from holdfast.settings import StoreSettings
from tests.channels import EventfulChannel


def die_after_a_pack(question: str, before: int, _params: Json) -> None:
    if question == "stored" and before == 1:
        os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    access_key, secret_key = os.environ["STORE_KEYS"].split()
    keys = {"access_key_id": access_key, "secret_access_key": secret_key}
    store = S3Store(StoreSettings.model_validate({**json.load(sys.stdin), **keys}))
    await CheckpointEngine(store).save(
        EventfulChannel(die_after_a_pack),
        workload="train",
        epoch=3,
        sequence=1,
        workspace=sys.argv[1],
        base_manifest=None,
        reason=SaveReason.CADENCE,
    )


if __name__ == "__main__":
    asyncio.run(main())
