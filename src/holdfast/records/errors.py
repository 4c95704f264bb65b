"""What can go wrong in the records, split by what the caller does next.

RecordsError
├── RecordsUnavailable   try again: the database is busy, restarting or unreachable; nothing was changed
├── RecordsBehind        ask a person: schema and code are of different versions; the message names the remedy
├── Fenced               stop: a newer epoch, or a newer run, owns the workload
├── Superseded           save again on top of the new head: another save of the same epoch committed first
├── BudgetExceeded       stop, or ask a person: what is left of a budget does not pay for the machine
├── UnknownModel         nothing is registered under this name, or all of it was removed
└── UnknownWorkload      the name, the lease or the checkpoint was never recorded
"""


class RecordsError(Exception):
    """Any failure of the records. The message is fit for people and holds no password and no bound value."""


class RecordsUnavailable(RecordsError):
    """No answer, or the transaction was rolled back by the database."""


class RecordsBehind(RecordsError):
    """The schema is older or newer than this code."""


class Fenced(RecordsError):
    """The caller's epoch, or its run, is no longer the newest."""


class Superseded(RecordsError):
    """The head is not the one that the save was built on."""


class OfferTaken(RecordsError):
    """Another workload has claimed the same machine; nothing was claimed or reserved."""


class BudgetExceeded(RecordsError):
    """Nothing was claimed or reserved. The message names the budget."""


class UnknownModel(RecordsError):
    """No such model, or no such version of it."""


class UnknownWorkload(RecordsError):
    """Nothing is recorded under this name."""
