"""What can go wrong with checkpoints, split by what the caller does next.

CheckpointError
├── StoreUnavailable    try again later; nothing is known to have changed
├── StoreRefused        ask a person: wrong key, no such bucket, not allowed, full
├── CheckpointCorrupt   this checkpoint cannot be trusted: use an older one, keep this one for a person to see
├── NoCheckpoint        there is no such checkpoint
└── SourceUnstable      the workspace kept changing: quiesce the work, exclude the file, or try again
"""


class CheckpointError(Exception):
    """Any failure of a save, a restore or the store. The message is fit for people and never holds a signed URL."""


class StoreUnavailable(CheckpointError):
    """No usable answer from the store."""


class StoreRefused(CheckpointError):
    """The store understood us and said no."""


class CheckpointCorrupt(CheckpointError):
    """Bytes in the store are not what their digest says. `chunks` names them, where they are known."""

    def __init__(self, message: str, chunks: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.chunks = chunks


class NoCheckpoint(CheckpointError):
    """The manifest does not exist."""


class SourceUnstable(CheckpointError):
    """Files changed every time they were read. `paths` names them."""

    def __init__(self, message: str, paths: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.paths = paths
