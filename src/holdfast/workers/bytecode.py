"""Workflows that are compiled once, not once for each that is begun.

The sandbox imports the code of workflows anew for each of them. Where Python finds no bytecode and may write none, as
with `PYTHONDONTWRITEBYTECODE`, it compiles that code each time, which takes as long as all the rest of a beginning.
"""

import sys
from importlib.util import cache_from_source
from pathlib import Path

from holdfast.workflows import job_queue


def keep_bytecode(data_dir: Path) -> None:
    """Let this process keep its bytecode in the data directory, if it can be had nowhere else."""
    if sys.dont_write_bytecode and not Path(cache_from_source(job_queue.__file__)).exists():
        sys.pycache_prefix = str(data_dir / "bytecode")
        sys.dont_write_bytecode = False
