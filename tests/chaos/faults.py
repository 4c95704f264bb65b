"""What may go wrong, drawn from a seed: the same seed draws the same faults in the same order."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from holdfast.simcloud.control import SimError, SimUnreachable
from holdfast.simcloud.model import Trouble
from tests.scenarios.stage import Stage, eventually

PROCESSES = ("worker-1", "temporal", "store", "market")
TROUBLES = (
    Trouble.DOWN,
    Trouble.HTTP_ERROR,
    Trouble.EMPTY_LIST,
    Trouble.TOO_FREQUENT,
    Trouble.LOST_RESPONSE,
    Trouble.LATENCY,
)
LONGEST = 8.0  # the longest that a partition or an API's failure lasts, in seconds


class Faults:
    """Strikes the stage and its workloads. What cannot be struck just then, because it is not there, is let be."""

    def __init__(self, stage: Stage, workloads: list[str], dice: random.Random) -> None:
        self._stage = stage
        self._workloads = workloads
        self._dice = dice
        self._healing: list[threading.Timer] = []
        self.struck: Counter[str] = Counter()

    def pause(self) -> float:
        """Seconds until the next strike."""
        return self._dice.uniform(2, 8)

    def strike(self) -> str:
        """One fault; what it was."""
        kinds: list[tuple[Callable[[], str], int]] = [
            (self._outbid, 3),
            (self._kill_machine, 3),
            (self._partition, 3),
            (self._trouble, 4),
            (self._kill_process, 3),
        ]
        (fault,) = self._dice.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])
        try:
            done = fault()
        except (SimError, ProcessLookupError) as missed:
            done = f"missed: {missed}"
        self.struck[done.partition(" ")[0]] += 1
        return done

    def end(self) -> None:
        """No further fault: networks are whole, the API answers. Machines that were lost stay lost."""
        for timer in self._healing:
            timer.cancel()
            timer.join()
        for workload in self._workloads:
            self._heal(workload)
        eventually(self._api_answers, "the market's API answers again")

    def _api_answers(self) -> bool:
        self._stage.market.clear_faults()
        return True

    def _outbid(self) -> str:
        workload, seconds = self._victim(), self._dice.uniform(1, 30)
        self._stage.market.outbid(workload, bid=Decimal(5), lasting=timedelta(seconds=seconds))
        return f"outbid {workload} for {seconds:.0f} s"

    def _kill_machine(self) -> str:
        workload, lag = self._victim(), self._dice.choice([0, 0, 5, 600])
        self._stage.market.kill(workload, word_lag=timedelta(seconds=lag))
        return f"kill {workload}'s machine, which the provider notices {lag} s later"

    def _partition(self) -> str:
        workload, seconds = self._victim(), self._dice.uniform(0.5, LONGEST)
        self._stage.market.partition(workload)
        self._later(seconds, lambda: self._heal(workload))
        return f"partition {workload} for {seconds:.1f} s"

    def _trouble(self) -> str:
        trouble, seconds = self._dice.choice(TROUBLES), self._dice.uniform(0.5, LONGEST)
        endpoint = self._dice.choice([None, "list", "show", "rent", "destroy"])
        self._stage.market.add_fault(
            trouble, endpoint=endpoint, lasting=timedelta(seconds=seconds), status=503, seconds=1
        )
        return f"{trouble} of the API's {endpoint or 'every call'} for {seconds:.1f} s"

    def _kill_process(self) -> str:
        process = self._dice.choice(PROCESSES)
        self._stage.kill(process)
        return f"kill-9 {process}"

    def _victim(self) -> str:
        return self._dice.choice(self._workloads)

    def _heal(self, workload: str) -> None:
        eventually(lambda: self._is_healed(workload), f"{workload} is healed")

    def _is_healed(self, workload: str) -> bool:
        """False while the market is dead: it is on its way back."""
        try:
            self._stage.market.heal(workload)
        except SimUnreachable:
            return False
        except SimError:  # its machine is gone: nothing is left to heal
            return True
        return True

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, what)
        self._healing.append(timer)
        timer.start()
