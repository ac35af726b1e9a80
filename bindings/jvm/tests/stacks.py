"""Judges stacks of `Storm`: whether they are complete, and whether each call in them can be.

A frame of Java has a file, a class with a package that is known, or is one of a hidden class.
"""

import collections
import re

# What stands for frames that could not be read, and for stacks that were not.
LOST = ("[truncated]", "[java frame lost]")
NO_STACK = ("[unsampled]", "[waiting]", "[overflow]")

# Who may call a method of the program, where it is not the one with the number before.
CALLERS = {
    "Made.applyAsInt": r"Storm\$Loading\.round",
    "Made.link1": r"Made\.applyAsInt",
    "Made$$Lambda.applyAsInt": r"Made\.link4",
    "Made.lambda$link3$0": r"Made\$\$Lambda\.applyAsInt",
    "Made.link5": r"Made\.lambda\$link3\$0",
    "Made$Square.area": r"Made\.link5",
    "Made$Other.area": r"Made\.link5",
    "Made$Square.link6": r"Made\$Square\.area",
    "Storm$Loading.round": r"Storm\.rounds",
    "Storm$Loading$Loader.define": r"Storm\$Loading\.round",
    "Storm$Throwing.round": r"Storm\.rounds",
    "Storm$Throwing.one": r"Storm\$Throwing\.(three|round)",
    "Storm$Throwing.two": r"Storm\$Throwing\.one",
    "Storm$Throwing.three": r"Storm\$Throwing\.two",
    "Storm$Throwing$Passing.<init>": r"Storm\$Throwing\.three",
    "Storm$Handles.round": r"Storm\.rounds",
    "Storm$Handles.byHandle": r"java\.lang\.invoke\.[\w$]+\.\w+|Storm\$Handles\.round",
    "Storm$Handles.link1": r"Storm\$Handles\.byHandle",
    "Storm$Handles.byProxy": r"Storm\$Handles\.lambda\$round\$\d",
    "Storm$Handles.byReflection": r"(java\.lang\.invoke|jdk\.internal\.reflect)\.[\w$]+\.\w+"
                                  r"|java\.lang\.reflect\.Method\.invoke|Storm\$Handles\.round",
    "Storm$Handles.byStream": r"Storm\$Handles\.lambda\$round\$\d",
    "Storm$Chains.round": r"Storm\.rounds",
    "Storm$Chains.a": r"Storm\$Chains\.round",
    "Storm$Chains.b": r"Storm\$Chains\.round",
    "Storm$Chains.alink1": r"Storm\$Chains\.a",
    "Storm$Chains.blink1": r"Storm\$Chains\.b",
    "Storm$Chains.blinkAside": r"Storm\$Chains\.blink1",
    "Storm$Stubs.round": r"Storm\.rounds",
    **{f"Storm$Stubs.{name}": r"Storm\$Stubs\.round"
       for name in ("copying", "summing", "deflating", "mathematics", "text")},
    "Storm$Waiting.round": r"Storm\.rounds",
    "Storm$Waiting.held": r"Storm\$Waiting\.round",
    "Storm$Waiting.parked": r"Storm\$Waiting\.round",
    "Storm$Threads.round": r"Storm\.main",
    "Storm$Threads.brief": r"Storm\$Threads\$\$Lambda\.run",
    "Storm$Threads.link1": r"Storm\$Threads\.brief",
    "Storm$Threads$$Lambda.run": r"java\.lang\.Thread\.run(With)?",
    "Storm$Virtual.round": r"Storm\.rounds",
    "Storm$Virtual$$Lambda.run": r"java\.lang\.VirtualThread\.run(With)?|java\.lang\.Thread\.runWith",
    "Storm$Virtual.carried": r"Storm\$Virtual\$\$Lambda\.run",
    "Storm$Virtual.even": r"Storm\$Virtual\.(odd|carried)",
    "Storm$Virtual.odd": r"Storm\$Virtual\.even",
    "Storm$Virtual.work": r"Storm\$Virtual\.(even|odd)",
    "Compiling.round": r"Storm\.rounds",
    "Storm.rounds": r"Storm\.lambda\$begin\$\d",
    "Storm.lambda$begin$0": r"Storm\$\$Lambda\.run",
    "Storm$$Lambda.run": r"java\.lang\.Thread\.run(With)?",
    "Storm.begin": r"Storm\.lambda\$main\$\d",
}
CALLERS = {name: re.compile(pattern) for name, pattern in CALLERS.items()}

LINK = re.compile(r"(?P<before>[\w$]+\.[a-z]*)link(?P<number>\d+)$")

# Where a thread of Java begins, as far as the machine has such a thread in `Storm`.
ROOTS = re.compile(
    r"Storm\.main|java\.lang\.Thread\.(run|exit|<init>|dispatchUncaughtException)"
    r"|jdk\.internal\.vm\.Continuation\.enter|jdk\.internal\.misc\.InnocuousThread\.run"
    r"|java\.util\.concurrent\.ForkJoinWorkerThread\.run"
    r"|java\.lang\.ref\.(Reference\$ReferenceHandler|Finalizer\$FinalizerThread)\.run"
    r"|sun\.instrument\.InstrumentationImpl\..*"
    r"|sun\.launcher\.LauncherHelper\.\w+|java\.lang\.Shutdown\.shutdown"
    r"|jdk\.internal\.vm\.ThreadContainers?\..*")

# On the first thread the machine also looks for classes before `main`.
FIRST = re.compile(r"java (java\.lang\.ClassLoader|jdk\.internal\.loader\.[\w$]+)\.\w+")

# Threads of the machine's that never run Java, as far as their names are told.
NATIVE = re.compile(r"C[12] CompilerThre|GC Thread#|G1 |VM Thread|Sweeper|ZWorker|Shenandoah ")

OURS = re.compile(r"(Storm|Made|Compiling)\b")
THEIRS = re.compile(r"((java|javax|jdk|sun|com\.sun|sondage)\.|\$Proxy\d+\.|com\.sun\.proxy\.)")


class Judged:
    """Counts of samples: `taken` of CPU time, of these `complete` and `java`. Calls that cannot be, by
    what is wrong, and a stack with each.
    """

    def __init__(self, samples):
        self.taken = self.complete = self.java = self.judged = 0
        self.wrong = collections.Counter()
        self.cut = collections.Counter()
        self.examples = {}
        for sample in samples:
            if sample.names and sample.names[0] not in NO_STACK:
                before = self.wrong.total()
                self.add(sample)
                if self.wrong.total() > before:
                    self.examples[list(self.wrong)[-1]] = (sample.labels.get("thread"), sample.names)

    def add(self, sample):
        names = sample.names
        taken = sample.values.get("samples", 0)
        complete = not any(name in LOST for name in names)
        java = [is_java(frame) for frame in sample.frames]
        self.taken += taken
        self.complete += taken if complete else 0
        self.java += taken if any(java) else 0
        if not complete:
            self.cut[shortened(names)] += taken
        if NATIVE.match(str(sample.labels.get("thread"))) and any(java):
            self.wrong["a native thread", names[java.index(True)]] += 1
        for frame, caller in zip(sample.frames, sample.frames[1:]):
            self.judge_call(frame, caller.name)
        for frame in filter(is_java, sample.frames):
            if not OURS.match(frame.name) and not THEIRS.match(frame.name):
                self.wrong["a stranger", frame.name] += 1
        first = FIRST.fullmatch(f"{sample.labels.get('thread')} {names[-1]}")
        if complete and any(java) and not first and not ROOTS.fullmatch(names[-1]):
            self.wrong["the root", names[-1]] += 1

    def judge_call(self, frame, caller):
        expected = caller_of(frame.name)
        if expected is None or caller in LOST:
            return
        self.judged += 1
        if not expected.fullmatch(caller):
            self.wrong[frame.name, caller] += 1


def shortened(names):
    return " < ".join(names if len(names) <= 8 else [*names[:4], "…", *names[-3:]])


def is_java(frame):
    return frame.file.endswith(".java") or bool(THEIRS.match(frame.name) or OURS.match(frame.name))


def caller_of(name):
    """What may call a method of the program, if that is known."""
    link = LINK.fullmatch(name)
    if name in CALLERS or link is None:
        return CALLERS.get(name)
    return re.compile(re.escape(f"{link['before']}link{int(link['number']) - 1}"))
