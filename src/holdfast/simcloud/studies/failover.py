"""What the production failover policy answers to a spot machine that is taken away in a trace."""

from functools import cache

from holdfast.contracts.incidents import Evidence, Reach, Verdict
from holdfast.contracts.machines import InstanceState, Terms
from holdfast.contracts.spec import FailoverSpec
from holdfast.policy.ladder import Rung, Situation, ladder
from holdfast.policy.verdicts import judge


@cache  # the question has two shapes only
def first_rung(*, has_checkpoint: bool, spec: FailoverSpec | None = None) -> Rung:
    """The strategy that is tried first once the provider says that the machine was taken back.

    Raises:
        ValueError: the policy would not call that a loss, or permits no answer to it.
    """
    spec = spec or FailoverSpec()
    taken = Evidence(reach=Reach.SILENT, provider_answers=True, state=InstanceState.INTERRUPTED)
    judgement = judge(taken, silence=spec.silence, terms=Terms.INTERRUPTIBLE)
    if judgement.verdict is not Verdict.LOST or judgement.cause is None:
        raise ValueError(f"a machine that was taken is {judgement.verdict.value}: {judgement.reason}")
    situation = Situation(cause=judgement.cause, has_checkpoint=has_checkpoint, state=InstanceState.INTERRUPTED)
    rungs = ladder(spec, situation).rungs
    if not rungs:
        raise ValueError("the policy permits no answer to the loss")
    return rungs[0]
