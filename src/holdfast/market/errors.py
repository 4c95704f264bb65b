"""What can be wrong with price data, told so that a person can put it right."""


class MarketError(Exception):
    """The market room cannot answer. `remedy` says what to do about it."""

    def __init__(self, what: str, *, remedy: str = "") -> None:
        super().__init__(what)
        self.remedy = remedy


class BadHistory(MarketError):
    """A price history cannot be read: a missing column, a price that is none, a time nobody can parse."""


class NoHistory(MarketError):
    """There is no price of what was asked for: an empty file, an unknown GPU."""
