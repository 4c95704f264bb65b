"""What can go wrong on the way to a machine. Each class asks for another reaction."""


class HostError(Exception):
    """Some failure to reach a machine or its agent."""


class HostUnreachable(HostError):
    """Nobody answered. Remedy: try again, and weigh the silence."""


class LoginRefused(HostError):
    """The machine answers and does not know our key. Remedy: wait if it is still booting, else another machine."""


class HostKeyChanged(HostError):
    """Another machine answers at this address. Remedy: treat the pinned one as lost; send it nothing."""


class HostRefused(HostError):
    """The machine answers and cannot serve us: no usable Python, no room, no SSH we speak. Remedy: another machine."""


class NoAgent(HostError):
    """The machine answers and no agent runs on it, which was to be found and not to be started."""
