"""Why the trainer gives up, told apart by exit code."""

DATA_UNUSABLE = 65  # the data set is not what was ordered, or cannot be trained on
BASE_UNUSABLE = 66  # the base model is not there, or is none
MACHINE_UNFIT = 69  # the GPU cannot do what is asked
DIVERGED = 70  # the loss is not a number any more
STATE_UNUSABLE = 73  # the saved state is of another order
ORDER_INVALID = 78
STOPPED = 143  # told to end, after everything was saved: as a shell says it of SIGTERM


class TrainerFailure(Exception):
    """The training cannot go on; the message says why and what would help."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
