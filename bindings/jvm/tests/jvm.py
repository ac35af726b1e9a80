"""Runs programs on the Java runtime that is under test, with the packed agent."""

import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "bindings/python"))

from tests import pprof  # noqa: E402

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "jvm"
HOME = pathlib.Path(os.environ["SONDAGE_TEST_JAVA"])
VERSION = int(os.environ["SONDAGE_TEST_VERSION"])
LIBRARY = TARGET / "libsondage_jvm.so"
JAR = TARGET / "sondage.jar"
CLASSES = TARGET / "test-classes"


class Ended:
    """A program that has ended, and the profiles it has left."""

    def __init__(self, ended, profiles):
        self.code, self.output, self.errors = ended.returncode, ended.stdout, ended.stderr
        self.profiles = profiles

    @property
    def samples(self):
        return [sample for profile in self.profiles for sample in profile]


def by_agentpath(options=""):
    return [f"-agentpath:{LIBRARY}={options}"]


def by_jar(options=""):
    return [f"-javaagent:{JAR}={options}"]


def run(program, *arguments, agent=None, flags=(), environment=None, timeout=120, check=True,
        within=(), classes=(), jar=JAR):
    """Runs a class of `programs` and reads the profiles that it leaves. `within` is a command that
    runs the command that follows it, `classes` what else is on the class path, `jar` the packed one
    there, if it is to be. At its end it waits for its last profile for longer than the machine may
    stand still."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"SONDAGE_PUSH": "file:" + folder, "SONDAGE_INTERVAL": "10m",
                    "SONDAGE_EXIT_TIMEOUT": "30s"}
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SONDAGE_")}
        path = ":".join(map(str, [CLASSES, *([jar] if jar else []), *classes]))
        command = [*within, HOME / "bin/java", "-Xmx256m", *(agent if agent is not None else by_agentpath()),
                   *flags, "-cp", path, program, *map(str, arguments)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                               env={**clean, **settings, **(environment or {})})
        if check and ended.returncode != 0:
            raise AssertionError(f"{command}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}")
        names = sorted(pathlib.Path(folder).glob("*.pb.gz"))
        return Ended(ended, [pprof.read(name.read_bytes()) for name in names])


def cpu(sample):
    return sample.values.get("cpu", 0)
