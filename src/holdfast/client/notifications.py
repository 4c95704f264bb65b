"""What is told by webhook: the outbox read, and one message sent at once."""

import uuid
from datetime import UTC, datetime

import httpx
from temporalio.client import Client

from holdfast.client.calls import ask
from holdfast.client.errors import NoReceiver, OperationFailed
from holdfast.contracts import activities, names
from holdfast.contracts.notifications import Kind, ListNotificationsInput, Notification
from holdfast.settings import NotifySettings, variable
from holdfast.telemetry.sending import send


async def recent(client: Client, *, at_most: int) -> tuple[Notification, ...]:
    """The newest first."""
    order = ListNotificationsInput(at_most=at_most)
    queue, summary = names.CONTROL_QUEUE, "what was told by webhook"
    return tuple(await ask(client, activities.list_notifications, order, queue=queue, summary=summary))


async def send_test(settings: NotifySettings) -> Notification:
    """Send a message of the kind `test` from here, once; it is in no outbox.

    Raises:
        NoReceiver: the settings name none.
        OperationFailed: it did not take the message.
    """
    if (where := settings.receiver()) is None:
        raise NoReceiver(f"no receiver is set: {variable('notify', 'url')} is empty")
    now = datetime.now(UTC)
    told = Notification(
        number=0,
        event_id=f"test.{uuid.uuid4().hex}",
        kind=Kind.TEST,
        document={"message": "Holdfast can reach you."},
        made_at=now,
        tries=1,
        next_at=now,
        delivered_at=now,
    )
    async with httpx.AsyncClient() as http:
        if error := await send(http, where, told):
            raise OperationFailed(
                f"the receiver did not take the message: {error}",
                remedy=f"check {variable('notify', 'url')} and what listens there; docs/notifications.md",
            )
    return told
