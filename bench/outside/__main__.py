"""Prints the table of docs/performance.md about processes that are read from outside.

One line a runtime: a program that is three in four parts of its time in `heavy` and one in `light`,
recorded by `sondage record -p`.
"""

import datetime
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parents[2]
PLACE = pathlib.Path(os.environ["BENCH_PLACE"])
WARM_UP = 2

sys.path.insert(0, str(ROOT / "bindings/python/tests"))

import pprof  # noqa: E402: found by the line above


def lines_of(source, name):
    """The numbers of the lines of a function: from its definition to the next blank line or function."""
    lines = source.read_text().splitlines()
    defines = re.compile(r"(static|def|function|void|long) .*\b(heavy|light)\(")
    first = next(at for at, line in enumerate(lines)
                 if (found := defines.search(line)) and found[2] == name)
    end = next(at for at in range(first + 1, len(lines))
               if not lines[at].strip() or defines.search(lines[at]))
    return range(first + 1, end + 1)


def record(command, seconds, hz):
    """The profile of a program, and how long its threads were stopped."""
    process = subprocess.Popen(command.split(), stdout=subprocess.PIPE, text=True)
    file = PLACE / "recorded.pb.gz"
    try:
        assert process.stdout.readline() == "started\n", command
        time.sleep(WARM_UP)
        told = subprocess.run(
            [PLACE / "sondage", "record", "-p", str(process.pid), "-d", str(seconds), "--hz",
             str(hz), "-o", file], check=True, capture_output=True, text=True).stderr
    finally:
        process.kill()
        process.wait()
    stopped = re.search(r"for (\S+ \S+) each \(median\), (\S+ \S+) \(99 %\), (\S+ \S+) at most", told)
    return pprof.read(file.read_bytes()), stopped.groups()


def row(name, source, command, seconds, hz):
    samples, stopped = record(command, seconds, hz)
    cpu, with_line, shares = 0, 0, {"heavy": 0, "light": 0}
    lines = {function: lines_of(source, function) for function in shares}
    for sample in samples:
        if sample.names == ["[unsampled]"]:
            continue
        taken = sample.values["cpu"]
        cpu += taken
        for frame in sample.frames:
            function = frame.name.rpartition(".")[2]
            if function in shares:
                shares[function] += taken
                with_line += taken * (frame.line in lines[function])
                break
    found = sum(shares.values())
    percent = lambda part, all: f"{100 * part / all:.1f} %"
    count = sum(sample.values["samples"] for sample in samples)
    return [name, f"{count:,}", percent(found, cpu), percent(with_line, found),
            percent(shares["heavy"], found), *stopped]


def main():
    options = dict(word.split("=", 1) for word in sys.argv[1:])
    seconds, hz = int(options.get("seconds", 20)), int(options.get("hz", 99))
    now = datetime.datetime.now(datetime.UTC)
    print(f"{now:%Y-%m-%d %H:%M} UTC; load average {os.getloadavg()[0]:.2f}; {hz} Hz\n")
    print("| program | samples | in heavy or light | line right | heavy, of 75 % |"
          " stopped, median | 99 % | longest |")
    print("|---" * 8 + "|", flush=True)
    for line in (PLACE / "programs").read_text().splitlines():
        name, source, command = line.split("\t")
        print(f"| {' | '.join(row(name, pathlib.Path(source), command, seconds, hz))} |", flush=True)


main()
