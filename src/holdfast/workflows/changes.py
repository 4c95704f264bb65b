"""Which changes of the workflow code a run knows, so that old histories go on as they began.

A change is asked for by name with `workflow.patched`, which writes two events into the history. All changes before
`fewer-steps` are asked for together by runs that begin with it; newer ones have their own questions again.
"""

from temporalio import workflow

_FEWER_STEPS = "fewer-steps"
_ANSWER = "_began_with_fewer_steps"


def begin() -> None:
    """The first thing that a run does."""
    setattr(workflow.instance(), _ANSWER, workflow.patched(_FEWER_STEPS))


def fewer_steps() -> bool:
    """Several things are written down in one step."""
    return bool(getattr(workflow.instance(), _ANSWER, False))


def knows(change: str) -> bool:
    """Whether this run makes a change that is older than `fewer-steps`."""
    return fewer_steps() or workflow.patched(change)
