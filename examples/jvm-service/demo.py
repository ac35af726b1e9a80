"""Runs the service under load and shows its profile. `make demo-jvm` calls it.

usage: demo.py JAVA_HOME JAR SONDAGE OUT, where JAR is sondage.jar and SONDAGE the command. Where
JAVA_HOME has no compiler, the one on the PATH is taken.
"""

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent

#: How long the load lasts.
SECONDS = 10

#: Functions in the printed table, and for each route.
TOP, TOP_OF_ROUTE = 20, 3

#: The longest that the service may take to start.
PATIENCE = 60


def main() -> int:
    java, jar, sondage, out = (Path(argument).resolve() for argument in sys.argv[1:])
    java = java / "bin"
    shutil.rmtree(out, ignore_errors=True)
    build(java, jar, out / "classes")
    failed = serve_and_load(java, jar, out)
    files = sorted((out / "profiles").glob("*.pb.gz"))
    for name in ("profile.pb.gz", "flame.html"):
        run(sondage, "convert", *files, out / name)
    show(sondage, out / "profile.pb.gz")
    print(f"wrote {out}/profile.pb.gz and {out}/flame.html")
    return failed


def build(java: Path, jar: Path, classes: Path) -> None:
    sources = [*HERE.glob("src/shop/*.java"), HERE / "Load.java"]
    compiler = java / "javac"
    run(compiler if compiler.exists() else "javac", "--release", "11", "-d", classes, "-cp", jar, *sources)


def serve_and_load(java: Path, jar: Path, out: Path) -> int:
    """Serves, loads, stops; whether a request failed."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    environment = {
        **os.environ,
        "SONDAGE_PUSH": f"file:{out / 'profiles'}",
        # One profile of the whole run, when the service ends.
        "SONDAGE_INTERVAL": "3600s",
        "SONDAGE_EXIT_TIMEOUT": "10s",
    }
    program = ["-cp", out / "classes", "shop.Service", str(port)]
    command = [java / "java", f"-javaagent:{jar}=service=shop", *program]
    service = subprocess.Popen(command, env=environment)
    try:
        wait_for(f"http://127.0.0.1:{port}/prices/1", service)
        print(f"serving on http://127.0.0.1:{port}", flush=True)
        begin, before = time.monotonic(), cpu_of_children()
        load = subprocess.run(
            [java / "java", "-cp", out / "classes", "Load", str(port), str(SECONDS)]
        )
        seconds = time.monotonic() - begin
        loaded = cpu_of_children()
    finally:
        service.terminate()
        service.wait()
    load_cpu, service_cpu = loaded - before, cpu_of_children() - loaded
    print(
        f"cpu in {seconds:.1f} s: service {service_cpu:.2f} s ({service_cpu / seconds:.2f} cores), "
        f"load {load_cpu:.2f} s ({load_cpu / seconds:.2f} cores)\n",
        flush=True,
    )
    return load.returncode


def wait_for(url: str, service: subprocess.Popen) -> None:
    """Waits for the first answer."""
    latest = time.monotonic() + PATIENCE
    while time.monotonic() < latest and service.poll() is None:
        try:
            urllib.request.urlopen(url).close()
            return
        except urllib.error.URLError:
            time.sleep(0.05)
    raise SystemExit("the service does not answer")


def cpu_of_children() -> float:
    """CPU time of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def show(sondage: Path, profile: Path) -> None:
    """Prints the top functions, then the top few of each route."""
    run(sondage, "report", "--top", str(TOP), profile)
    command = [sondage, "report", "--json", "--by", "route", profile]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    print()
    for part in report["by"]:
        share = 100 * part["total"] / max(report["total"], 1)
        print(f"{share:5.1f}%  {part['value'] or '(no route)'}")
        for function in part["functions"][:TOP_OF_ROUTE]:
            share = 100 * function["self"] / max(part["total"], 1)
            print(f"        {share:5.1f}%  {function['name']}")
    print(f"to look at it: {sondage} view {profile} --open")


def run(*command) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.exit(main())
