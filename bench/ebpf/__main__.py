"""Prints the eBPF tables of docs/performance.md: `bench/ebpf/run processes=50,200 seconds=60`.

One line a run: so many processes that use a thousandth of a core each, and two that use one each, all
of 20 programs, while an agent watches the machine.
"""

import datetime
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import kernel

PLACE = pathlib.Path(os.environ["BENCH_PLACE"])
PROGRAMS = 20
HERTZ = int(os.environ.get("HERTZ", 19))
SHARE = 1
SWITCH = "sondage_switch"


def start_load(processes):
    program = lambda number: str(PLACE / f"load-{number % PROGRAMS + 1}")
    light = [[program(number), str(SHARE)] for number in range(processes)]
    heavy = [[program(number)] for number in range(2)]
    return [subprocess.Popen(command) for command in light + heavy]


class Sondage:
    def __init__(self, folder, off_cpu):
        self.name = "Sondage, off-CPU too" if off_cpu else "Sondage"
        command = [str(PLACE / "sondage"), "host-agent", "--push", f"file:{folder}", "--set",
                   f"hz={HERTZ}", "--set", f"off_cpu={'on' if off_cpu else 'off'}"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        said = self.process.communicate(timeout=60)[1]
        assert self.process.returncode == 0, said
        found = re.search(r"([\d.]+) % with whole stacks", said)
        return f"{found[1]} %" if found else said


class OpenTelemetry:
    """Its profiles go to a collector of the tests, which takes them."""

    name = "OpenTelemetry's"

    def __init__(self, folder, _):
        self.collector = subprocess.Popen(
            [os.environ["COLLECTOR"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        address = json.loads(self.collector.stdout.readline())["address"]
        command = [os.environ["OTEL_PROFILER"], "-collection-agent", address, "-disable-tls",
                   "-samples-per-second", str(HERTZ)]
        self.said = open(pathlib.Path(folder, "said"), "w+")
        self.process = subprocess.Popen(command, stderr=self.said, stdout=self.said)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) == 0, "it has failed"
        self.collector.kill()
        self.collector.wait()
        return "–"


class Window:
    """What an agent used between two moments."""

    def __init__(self, pid, before):
        self.pid, self.known = pid, before
        self.begin, self.cpu, self.programs = time.monotonic(), *self.now()

    def now(self):
        own = {key: found for key, found in kernel.programs().items() if key not in self.known}
        return kernel.cpu_seconds(self.pid), own

    def end(self):
        seconds = time.monotonic() - self.begin
        cpu, programs = self.now()
        runs = []
        for key, (name, nanoseconds, count) in programs.items():
            _, earlier, times = self.programs.get(key, (name, 0, 0))
            runs.append((name, nanoseconds - earlier, count - times))
        return seconds, cpu - self.cpu, runs


def measure(agent, processes, off_cpu, warm_up, seconds):
    before = set(kernel.programs())
    load = start_load(processes)
    try:
        with tempfile.TemporaryDirectory() as folder:
            watching = agent(folder, off_cpu)
            pid = watching.process.pid
            time.sleep(warm_up)
            window = Window(pid, before)
            time.sleep(seconds)
            lasted, cpu, runs = window.end()
            memory, maps = kernel.peak_memory(pid), kernel.map_memory(pid)
            complete = watching.stop()
    finally:
        for process in load:
            process.kill()
        for process in load:
            process.wait()
    return row(watching.name, processes, lasted, cpu, runs) + [
        f"{memory / 2**20:.0f}", f"{maps / 2**20:.1f}", complete]


def row(name, processes, lasted, cpu, runs):
    percent = lambda nanoseconds: f"{nanoseconds / lasted / 1e7:.2f}"
    switches = [run for run in runs if run[0] == SWITCH]
    others = [run for run in runs if run[0] != SWITCH]
    sampling = [run for run in others if run[0] == "sondage_on_cpu"] or others
    each = lambda some: (f"{sum(run[1] for run in some) / 1000 / max(sum(run[2] for run in some), 1):.2f}"
                         if some else "–")
    return [name, str(processes), f"{100 * cpu / lasted:.2f}", percent(sum(run[1] for run in runs)),
            each(sampling), f"{sum(run[2] for run in sampling) / lasted:.0f}", each(switches),
            f"{sum(run[2] for run in switches) / lasted:.0f}" if switches else "–"]


def main():
    options = dict(word.split("=", 1) for word in sys.argv[1:])
    sizes = [int(size) for size in options.get("processes", "50,200,1000").split(",")]
    warm_up, seconds = float(options.get("warm_up", 30)), float(options.get("seconds", 60))
    agents = [(Sondage, False), (Sondage, True)]
    if os.environ.get("OTEL_PROFILER"):
        agents.append((OpenTelemetry, False))
    if "only" in options:
        agents = [agents[int(index)] for index in options["only"].split(",")]
    now = datetime.datetime.now(datetime.UTC)
    print(f"{now:%Y-%m-%d %H:%M} UTC; load average {os.getloadavg()[0]:.2f}\n")
    print("| agent | processes | CPU, % of one core | BPF, % of one core | µs a sample |"
          " samples a second | µs a switch | switches a second | memory, MiB | maps, MiB |"
          " whole stacks |")
    print("|---" * 11 + "|", flush=True)
    with kernel.statistics():
        for processes in sizes:
            for agent, off_cpu in agents:
                cells = measure(agent, processes, off_cpu, warm_up, seconds)
                print("| " + " | ".join(cells) + " |", flush=True)
    print(f"\nload average at the end {os.getloadavg()[0]:.2f}")


main()
