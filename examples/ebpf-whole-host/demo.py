"""Shows one flame graph of this machine while the example services run without Sondage inside.

usage: demo.py SONDAGE RUST_SERVICE JAVA_HOME NODE OUT, as root: the command, the service in Rust, a
JDK and Node.js. `make demo-host` calls it. Installs what the services need into OUT, once.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent
WITHOUT = HERE / "without"

#: How long the machine is watched, and the services under load longer than that.
SECONDS, LOAD = 15, 25

#: Functions in the printed table, and for each service.
TOP, TOP_OF_SERVICE = 20, 4

#: The longest that a service may take to start.
PATIENCE = 60


def main() -> int:
    sondage, rust, java, node, out = (Path(argument).resolve() for argument in sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        loads = [
            start_rust(rust, out, stack),
            start_python(out, stack),
            start_node(node, out, stack),
            start_java(java / "bin", out, stack),
        ]
        for load in loads:
            stack.enter_context(running(load))
        flame, profile = out / "flame.html", out / "profile.pb.gz"
        watch = [sondage, "host-agent", "--set", "hz=49", "--duration", str(SECONDS)]
        subprocess.run([*watch, "--output", profile], check=True)
    subprocess.run([sondage, "convert", profile, flame], check=True)
    show(sondage, profile)
    print(f"wrote {profile} and {flame}")
    print(f"to look at it: {sondage} view {profile} --open")
    return 0


def start_rust(rust: Path, out: Path, stack: ExitStack) -> list:
    """A service that loads itself, from a second process."""
    seconds = ["--seconds", str(LOAD), "--connections", "2"]
    return [rust, "demo", "--profiler", "off", *seconds, "--out", out / "rust"]


def start_python(out: Path, stack: ExitStack) -> list:
    service = EXAMPLES / "python-service"
    programs = out / "venv" / "bin"
    if not (programs / "python").exists():
        print(f"installing into {out / 'venv'}", flush=True)
        venv.create(out / "venv", with_pip=True)
    pip = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--requirement", service / "requirements.txt"], check=True)
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(WITHOUT / "python")}
    command = [programs / "gunicorn", "--bind", f"127.0.0.1:{port}", "app:app"]
    stack.enter_context(running(command, cwd=service, env=environment))
    wait_for(f"http://127.0.0.1:{port}/quotes/1")
    return [sys.executable, service / "load.py", str(port), str(LOAD)]


def start_node(node: Path, out: Path, stack: ExitStack) -> list:
    """With --perf-basic-prof, by which V8 writes down the names of its code."""
    service, folder = EXAMPLES / "node-service", out / "node"
    shutil.copytree(service, folder, dirs_exist_ok=True)
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]
    subprocess.run([*npm, WITHOUT / "node" / "sondage"], cwd=folder, check=True)
    subprocess.run([node, "node_modules/typescript/bin/tsc"], cwd=folder, check=True)
    port = free_port()
    command = [node, "--perf-basic-prof", "--interpreted-frames-native-stack", "dist/app.js", str(port)]
    stack.enter_context(running(command, cwd=folder))
    wait_for(f"http://127.0.0.1:{port}/search?q=saw")
    return [node, service / "load.mjs", str(port), str(LOAD)]


def start_java(java: Path, out: Path, stack: ExitStack) -> list:
    """With frame pointers; `jcmd PID Compiler.perfmap` has the machine write names down."""
    service, classes = EXAMPLES / "jvm-service", out / "classes"
    sources = [*service.glob("src/shop/*.java"), service / "Load.java", WITHOUT / "java/sondage/Labels.java"]
    compiler = java / "javac" if (java / "javac").exists() else "javac"
    subprocess.run([compiler, "--release", "11", "-d", classes, *sources], check=True)
    port = free_port()
    command = [java / "java", "-XX:+PreserveFramePointer", "-cp", classes, "shop.Service", str(port)]
    service = stack.enter_context(running(command))
    wait_for(f"http://127.0.0.1:{port}/prices/1")
    # What is compiled by then has its name: after some seconds of load, most of what runs.
    names = f"sleep 8; {java / 'jcmd'} {service.pid} Compiler.perfmap >/dev/null"
    stack.enter_context(running(["sh", "-c", names]))
    return [java / "java", "-cp", classes, "Load", str(port), str(LOAD)]


class running:
    """A process that is ended with the demonstration."""

    def __init__(self, command, **options):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([str(word) for word in command], **quiet, **options)

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(url: str) -> None:
    """Waits for the first answer."""
    latest = time.monotonic() + PATIENCE
    while time.monotonic() < latest:
        try:
            urllib.request.urlopen(url).close()
            print(f"serving on {url}", flush=True)
            return
        except urllib.error.HTTPError:
            return
        except urllib.error.URLError:
            time.sleep(0.05)
    raise SystemExit(f"{url} does not answer")


def show(sondage: Path, profile: Path) -> None:
    """Prints the top functions, then the top few of each service."""
    subprocess.run([sondage, "report", "--top", str(TOP), profile], check=True)
    command = [sondage, "report", "--json", "--by", "service_name", profile]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    print()
    for part in sorted(report["by"], key=lambda part: -part["total"])[:8]:
        share = 100 * part["total"] / max(report["total"], 1)
        print(f"{share:5.1f}%  {part['value'] or '(none)'}")
        for function in part["functions"][:TOP_OF_SERVICE]:
            share = 100 * function["self"] / max(part["total"], 1)
            print(f"        {share:5.1f}%  {function['name']}")


if __name__ == "__main__":
    sys.exit(main())
