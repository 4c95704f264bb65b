"""One way to open an SSH connection: our key, their pinned key, and nothing taken from the environment."""

from datetime import timedelta

import asyncssh

from holdfast.contracts.machines import SshAddress
from holdfast.hosts.errors import HostError, HostKeyChanged, HostRefused, HostUnreachable, LoginRefused

# In a group exchange the machine chooses the numbers, of any length: calculating could hold this process for hours.
_NO_GROUPS_OF_THEIRS = "-diffie-hellman-group-exchange-*,gss-*"
_KEEPALIVE = 5  # seconds between two signs of life that are asked for
_KEEPALIVES_MISSED = 3


async def connect(
    address: SshAddress, *, private_key: asyncssh.SSHKey, host_key: str | None, connect_timeout: timedelta
) -> asyncssh.SSHClientConnection:
    """Log in. Without `host_key` any machine is believed, which is right only at first contact.

    Raises:
        HostUnreachable, LoginRefused, HostKeyChanged, HostRefused.
    """
    trusted: tuple[list[asyncssh.SSHKey], list[str], list[str]] | None = (
        None if host_key is None else ([asyncssh.import_public_key(host_key)], [], [])
    )
    try:
        return await asyncssh.connect(
            address.host,
            address.port,
            username=address.user,
            client_keys=[private_key],
            known_hosts=trusted,
            # Any kind, as at first contact: a machine that shows another kind must be seen to have changed.
            server_host_key_algs="default",
            config=None,
            agent_path=None,
            agent_forwarding=False,
            preferred_auth="publickey",
            compression_algs="none",
            kex_algs=_NO_GROUPS_OF_THEIRS,
            connect_timeout=connect_timeout.total_seconds(),
            login_timeout=connect_timeout.total_seconds(),
            keepalive_interval=_KEEPALIVE,
            keepalive_count_max=_KEEPALIVES_MISSED,
        )
    except (OSError, asyncssh.Error) as error:
        raise _classify(error, address) from error


def _classify(error: Exception, address: SshAddress) -> HostError:
    where = f"{address.host}:{address.port}"
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return HostKeyChanged(f"{where} shows another host key than the one pinned")
    if isinstance(error, asyncssh.PermissionDenied):
        return LoginRefused(f"{where} does not accept our key for {address.user}")
    if isinstance(error, asyncssh.KeyExchangeFailed | asyncssh.ProtocolError | asyncssh.ProtocolNotSupported):
        return HostRefused(f"{where} does not speak our SSH: {error}")
    return HostUnreachable(f"{where} does not answer: {error or type(error).__name__}")


def host_key_of(connection: asyncssh.SSHClientConnection) -> str:
    """The machine's public key as one line of authorized_keys format, without a comment."""
    key = connection.get_server_host_key()
    assert key is not None  # there is one after every key exchange
    return " ".join(key.export_public_key().decode().split()[:2])
