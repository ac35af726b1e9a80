"""What a program has delivered into a directory."""

import json
import re
import subprocess
import sys
from pathlib import Path


class Profiles:
    """The profiles in a directory, read by the `sondage` command."""

    def __init__(self, directory: Path) -> None:
        self._files = sorted(directory.glob("*.pb.gz"))

    def processes(self) -> set[int]:
        """The processes that have delivered one."""
        return {_process(file) for file in self._files}

    def report(self, *arguments: str, process: int = 0) -> dict:
        """What `sondage report` says of all of them, or of those of one process."""
        files = [file for file in self._files if process in (0, _process(file))]
        sondage = Path(sys.executable).with_name("sondage")
        command = [sondage, "report", "--json", *arguments, *files]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    def cpu(self, label: str, value: str, process: int = 0) -> float:
        """Seconds of CPU time under a label."""
        return self.report(process=process)["labels"].get(label, {}).get(value, 0) / 1e9

    def functions(self, label: str) -> dict:
        """Seconds in each function, by the label's value."""
        parts = self.report("--by", label).get("by", [])
        return {
            part["value"]: {f["name"]: f["total"] / 1e9 for f in part["functions"]}
            for part in parts
        }


def _process(file: Path) -> int:
    """From a name such as `shop-20261126T065959Z-4711-0.pb.gz`."""
    return int(re.search(r"-(\d+)-\d+\.pb\.gz$", file.name).group(1))
