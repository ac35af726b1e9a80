"""The backend for tests of `tests/collector`, as a process."""

import json
import os
import subprocess
import urllib.request


class Collector:
    """A running backend, which is gone when this is left."""

    def __enter__(self) -> "Collector":
        program = os.environ["SONDAGE_COLLECTOR"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([program], stdin=pipe, stdout=pipe)
        self.url = json.loads(self._process.stdout.readline())["url"]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def plan(self, faults: dict) -> None:
        """Makes later requests fail, as its README says."""
        body = json.dumps(faults).encode()
        request = urllib.request.Request(f"{self.url}/_faults", body, method="POST")
        urllib.request.urlopen(request).close()

    def label_values(self, key: str) -> set:
        """The values of a label in every profile that was accepted."""
        with urllib.request.urlopen(f"{self.url}/_received") as answer:
            received = json.load(answer)
        samples = (sample for profile in received for sample in profile["samples"])
        return {sample["labels"].get(key) for sample in samples} - {None}
