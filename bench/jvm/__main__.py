"""Prints a JVM table of docs/performance.md, for `bench/jvm/run`.

`bench/jvm/run shares|virtual|cost|start [jdk=17,25] [rounds=N] [engines=a,b]`; each table says
which other options it has.

Engines take turns within each round, in an order that is reversed from round to round; each run is
a process of its own. A figure is the median, in brackets the lowest and the highest; where three
dots stand between the two, it is the mean and its 95 % interval. Ratios are taken within a round.
"""

import os
import sys
import time

from engines import ENGINES, Sink
from runtimes import Runtime
from tables import TABLES, Context
from turns import HEAP


def main():
    name = sys.argv[1]
    options = dict(word.split("=", 1) for word in sys.argv[2:])
    if name not in TABLES:
        sys.exit(f"tables: {' '.join(TABLES)}; not {name}")
    table = TABLES[name]
    runtimes = [Runtime(version) for version in options.get("jdk", table.JDK).split(",")]
    chosen = options.get("engines", ",".join(table.ENGINES)).split(",")
    started = time.strftime("%F %H:%M UTC", time.gmtime())
    print(f"\n{name}: {started}; {', '.join(map(str, runtimes))}; {HEAP}; load average "
          f"{os.getloadavg()[0]:.2f}\n", flush=True)
    missing = [one for one in chosen if not ENGINES[one].is_there()]
    if missing:
        print(f"Not built, and so not run: {', '.join(missing)}.\n")
    kept = [ENGINES[one] for one in chosen if one not in missing]
    rounds = int(options.get("rounds", table.ROUNDS))
    table.table(Context(Sink(), runtimes, kept, rounds, options))


main()
