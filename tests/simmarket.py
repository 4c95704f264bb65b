"""A simulated market in its own process, for any test that needs machines.

```python
from tests.simmarket import run_market

with run_market(tmp_path) as market:
    market.base_url, market.api_key, market.control
```
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from holdfast.simcloud.control import SimControl
from holdfast.simcloud.machines import end_all_hosts

INSTANT: dict[str, Any] = {
    "boot": {"kind": "constant", "seconds": 0},
    "threshold_scale": 0,
    "providers": {"gcp": {"wind_down": {"kind": "constant", "seconds": 0.05}}},
}


@dataclass
class RunningMarket:
    """A market that runs until its context ends; it may be killed and started again in between."""

    data_dir: Path
    profile: Path
    api_key: str = "a-key-for-tests"
    _process: "subprocess.Popen[str] | None" = field(default=None, repr=False)
    _port: int = 0

    @property
    def base_url(self) -> str:
        """Where the provider's API answers."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def control(self) -> SimControl:
        """A fresh client of the control API."""
        return SimControl.of_data_dir(self.data_dir)

    @property
    def pid(self) -> int:
        """The market's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the market on its data directory and return when it answers. A second start keeps the port."""
        command = [sys.executable, "-m", "holdfast.simcloud", "--data-dir", str(self.data_dir)]
        options = ["--port", str(self._port), "--profile", str(self.profile), "--orphan-after", "120"]
        environment = os.environ | {"HOLDFAST_SIM_API_KEY": self.api_key}
        self._process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, env=environment, text=True)
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        assert ready, "the market did not start; its error is above"
        self._port = int(ready.rsplit(":", 1)[1])

    def kill(self) -> None:
        """kill -9 of the market process. Its hosts live on."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Shut the market down in order. Its hosts live on."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None

    def close(self) -> None:
        """End the market and all its hosts."""
        if self._process is not None:
            self.stop()
        end_all_hosts(self.data_dir)


@contextmanager
def run_market(folder: Path, **profile: Any) -> Iterator[RunningMarket]:
    """A market in a subprocess that leaves nothing behind.

    It has the default profile without boot delay and minimum intervals, changed by ``profile``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "profile.yaml"
    path.write_text(yaml.safe_dump({"extends": "default"} | INSTANT | profile))
    market = RunningMarket(data_dir=folder / "market", profile=path)
    try:
        market.start()
        yield market
    finally:
        market.close()
