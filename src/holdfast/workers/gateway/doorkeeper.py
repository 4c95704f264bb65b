"""What the gateway asks of the endpoints' workflows, and nothing of it for a single request."""

from typing import Protocol

from holdfast.contracts.endpoints import EndpointCard, IdleNotice, Pass, WakeRequest


class Away(Exception):
    """The other side could not be asked, or did not answer. The message says why; asking again may help."""


class Doorkeeper(Protocol):
    """The other side of the contract in `contracts/endpoints.py`. Every call may raise `Away`, and may be repeated."""

    async def cards(self) -> tuple[EndpointCard, ...]:
        """Every endpoint that there is, awake or not."""
        ...

    async def wake(self, endpoint: str, request: WakeRequest) -> Pass:
        """Ask for a pass, or to keep it. The answer may take as long as the endpoint likes to think about it."""
        ...

    async def idle(self, endpoint: str, notice: IdleNotice) -> None:
        """Give the pass back."""
        ...
