"""The Java runtimes that tables are made on."""

import functools
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Runtime:
    """A runtime of a version, as `bindings/jvm/find-jdk` finds it."""

    def __init__(self, version):
        found = subprocess.run([ROOT / "bindings/jvm/find-jdk", version], check=True, text=True,
                               stdout=subprocess.PIPE).stdout.strip()
        if not found:
            raise SystemExit(f"no Java {version} here")
        self.version = int(version)
        self.home = pathlib.Path(found)
        self.java = self.home / "bin/java"
        self.jfr = self.home / "bin/jfr"
        release = (self.home / "release").read_text()
        self.full = re.search(r'^JAVA_VERSION="(.*)"', release, re.MULTILINE)[1]

    def __str__(self):
        shared = (self.home / "lib/server/classes.jsa").exists()
        return f"Java {self.full}{'' if shared else ' (without an archive of classes)'}"

    @functools.cache
    def runs_with(self, *flags):
        """Whether it knows these flags: not each has every garbage collector."""
        tried = subprocess.run([self.java, *flags, "-version"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        return tried.returncode == 0
