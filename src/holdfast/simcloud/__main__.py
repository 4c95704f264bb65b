"""``python -m holdfast.simcloud``: run the market by itself.

The account's API key is taken from the environment variable HOLDFAST_SIM_API_KEY, never from an argument.
"""

import argparse
import logging
import os
import sys
from datetime import timedelta
from pathlib import Path

from holdfast.simcloud.config import SimConfig
from holdfast.simcloud.profile import BadProfile
from holdfast.simcloud.server import DataDirBusy, PortTaken, serve


def main() -> int:
    """Exit code 0 after a shutdown, 69 when the port or the data directory is taken, 78 for a bad profile."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    try:
        serve(_config())
    except PortTaken as taken:
        print(f"cannot start the simulated market: {taken}; choose another --port", file=sys.stderr)  # noqa: T201
        return os.EX_UNAVAILABLE
    except BadProfile as wrong:
        print(wrong, file=sys.stderr)  # noqa: T201
        return os.EX_CONFIG
    except DataDirBusy as busy:
        print(f"cannot start the simulated market: {busy}", file=sys.stderr)  # noqa: T201
        return os.EX_UNAVAILABLE
    return 0


def _config() -> SimConfig:
    parser = argparse.ArgumentParser(prog="python -m holdfast.simcloud", description="a GPU market on this computer")
    parser.add_argument("--data-dir", type=Path, required=True, help="where the market keeps everything")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one; see market.port in the data directory")
    parser.add_argument("--profile", type=Path, help="a YAML file; default: the profile that ships with the package")
    parser.add_argument("--orphan-after", type=float, help="seconds without a market after which hosts end themselves")
    given = parser.parse_args()
    return SimConfig(
        data_dir=given.data_dir.absolute(),
        port=given.port,
        profile=given.profile,
        api_key=os.environ.get("HOLDFAST_SIM_API_KEY"),
        orphan_after=None if given.orphan_after is None else timedelta(seconds=given.orphan_after),
    )


if __name__ == "__main__":
    sys.exit(main())
