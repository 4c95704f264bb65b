"""A process that begins to fill a mirror and is killed by its own hand in the middle: `python -m ... MANIFEST`.

The settings of both stores come by standard input, their keys by STORE_KEYS.
"""

import asyncio
import json
import os
import signal
import sys

from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.mirroring import Copied
from holdfast.checkpoints.mirrors import Mirror
from holdfast.checkpoints.stores.s3 import S3Store
from holdfast.settings import StoreSettings


def die_after_some_packs(copied: Copied) -> None:
    if copied.packs:
        os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    access_key, secret_key = os.environ["STORE_KEYS"].split()
    keys = {"access_key_id": access_key, "secret_access_key": secret_key}
    main, mirror = (S3Store(StoreSettings.model_validate({**each, **keys})) for each in json.load(sys.stdin))
    engine = CheckpointEngine(main, mirrors=[Mirror("near", mirror, ("*",))])
    await engine.fill_mirror("near", [sys.argv[1]], note=die_after_some_packs)


if __name__ == "__main__":
    asyncio.run(main())
