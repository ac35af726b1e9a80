"""Programs that tests run, and the profiles that they leave."""

import gzip
import os
import subprocess
import sys
import tempfile

# Uses CPU time and returns: enough for some samples at 100 Hz.
BURN = """
import time
def burn(seconds=0.3):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(1000))
"""


def run(arguments, check=True, cwd=None, **environment):
    """Runs a program to its end in a clean environment, in a folder of its own unless it has one. At
    its end it waits for its last profile for longer than the machine may stand still."""
    settings = {"SONDAGE_EXIT_TIMEOUT": "30s"}
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SONDAGE_", "PYTHON"))}
    with tempfile.TemporaryDirectory() as folder:
        ended = subprocess.run(
            arguments,
            env={**clean, **settings, **environment},
            cwd=cwd or folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=60,
        )
    if check and ended.returncode != 0:
        raise AssertionError(f"{arguments}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}")
    return ended


def python(code, *arguments, **options):
    """Runs Python code; without it, Python with arguments."""
    code = () if code is None else ("-c", code)
    return run([sys.executable, *code, *arguments], **options)


def profiles(folder):
    """The processes whose profiles are in a folder, by the numbers in the files' names."""
    found = set()
    for place, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".pb.gz"):
                with gzip.open(os.path.join(place, name)) as profile:
                    if not profile.read():
                        raise AssertionError(f"{name} is empty")
                # SERVICE-TIME-PID-NUMBER.pb.gz
                found.add(name.rsplit("-", 2)[1])
    return found
