"""Runs the service under load and shows its profile. `make demo-python` calls it.

usage: demo.py WHEEL OUT. Installs everything into OUT/venv, once.
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
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent

#: How long the load lasts.
SECONDS = 10

#: Functions in the printed table, and for each route.
TOP, TOP_OF_ROUTE = 20, 3

#: The longest that the service may take to start.
PATIENCE = 60


def main() -> int:
    wheel, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    out.mkdir(parents=True, exist_ok=True)
    programs = install(wheel, out / "venv")
    profiles = out / "profiles"
    shutil.rmtree(profiles, ignore_errors=True)
    failed = serve_and_load(programs, profiles)
    files = sorted(profiles.glob("*.pb.gz"))
    for name in ("profile.pb.gz", "flame.html"):
        run(programs / "sondage", "convert", *files, out / name)
    # SERVICE-TIME-PROCESS-NUMBER.pb.gz
    processes = {file.name.rsplit("-", 2)[1] for file in files}
    show(programs / "sondage", out / "profile.pb.gz", len(processes))
    print(f"wrote {out}/profile.pb.gz and {out}/flame.html")
    return failed


def install(wheel: Path, folder: Path) -> Path:
    """Makes a virtual environment; the folder of its programs."""
    programs = folder / "bin"
    if not (programs / "python").exists():
        print(f"installing into {folder}")
        venv.create(folder, with_pip=True)
    pip = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "--requirement", HERE / "requirements.txt")
    # By force: a wheel that was built again has the same version.
    run(*pip, "--force-reinstall", "--no-deps", wheel)
    return programs


def serve_and_load(programs: Path, profiles: Path) -> int:
    """Serves, loads, stops; whether a request failed."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    environment = {
        **os.environ,
        "SONDAGE_PUSH": f"file:{profiles}",
        # One profile of the whole run from each process, when it ends.
        "SONDAGE_INTERVAL": "3600s",
        "SONDAGE_EXIT_TIMEOUT": "10s",
    }
    command = [programs / "gunicorn", "--bind", f"127.0.0.1:{port}", "app:app"]
    service = subprocess.Popen(command, cwd=HERE, env=environment)
    try:
        wait_for(f"http://127.0.0.1:{port}/quotes/1", service)
        print(f"serving on http://127.0.0.1:{port}")
        begin, before = time.monotonic(), cpu_of_children()
        load = subprocess.run([sys.executable, HERE / "load.py", str(port), str(SECONDS)])
        seconds = time.monotonic() - begin
        loaded = cpu_of_children()
    finally:
        service.terminate()
        service.wait()
    load_cpu, service_cpu = loaded - before, cpu_of_children() - loaded
    print(
        f"cpu in {seconds:.1f} s: service {service_cpu:.2f} s ({service_cpu / seconds:.2f} cores), "
        f"load {load_cpu:.2f} s ({load_cpu / seconds:.2f} cores)"
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


def show(sondage: Path, profile: Path, processes: int) -> None:
    """Prints the top functions, then the top few of each route."""
    print(f"the profiles of {processes} processes, added up:\n", flush=True)
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
