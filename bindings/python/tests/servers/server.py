"""A web server of another project, with a profiled application in its workers."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"

#: CPU time of each worker after which a profile says something.
ENOUGH = 0.5

#: The longest that a server may take to start, or to use that time, on a busy machine.
PATIENCE = 30.0

#: The longest that an idle server may take to end. The profiler waits for 2 s at most; on a busy
#: machine ending a process takes as long again.
PROMPT = 8.0


class Server:
    """A running server, which writes its output and its profiles into `directory`."""

    def __init__(self, command: list, directory: Path, **environment: str) -> None:
        self.directory = directory
        self.port = _free_port()
        self.output = directory / "output"
        settings = {
            "SONDAGE_PUSH": f"file:{directory / 'profiles'}",
            "SONDAGE_SERVICE": "shop",
            "SONDAGE_INTERVAL": "60s",
        }
        command = [part.replace("PORT", str(self.port)) for part in command]
        with open(self.output, "wb") as output:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).with_name(command[0])), *command[1:]],
                cwd=PROGRAMS,
                env={**os.environ, **settings, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> "Server":
        begin = time.monotonic()
        while True:
            try:
                self.get("/alpha/0")
                return self
            except OSError:
                late = time.monotonic() > begin + PATIENCE
                if late or self._process.poll() is not None:
                    self._process.kill()
                    raise AssertionError(self.output.read_text()) from None
                time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def get(self, path: str) -> dict:
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return json.load(answer)

    def load(self, workers: int) -> Counter:
        """Asks both routes in turns until each worker has burnt enough; how much each has."""
        burnt = Counter()
        begin = time.monotonic()
        paths = [f"/{route}/{n}" for n in range(8) for route in ("alpha", "beta")]
        with ThreadPoolExecutor(4) as pool:
            while len(burnt) < workers or min(burnt.values()) < ENOUGH:
                assert time.monotonic() < begin + PATIENCE, burnt
                for answer in pool.map(self.get, paths):
                    burnt[answer["pid"]] += answer["cpu"]
        return burnt

    def terminate(self) -> float:
        """Ends it as an operator does; how long that took."""
        begin = time.monotonic()
        self._process.terminate()
        code = self._process.wait(PATIENCE)
        assert code == 0, self.output.read_text()
        return time.monotonic() - begin


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
