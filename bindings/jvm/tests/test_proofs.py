"""What the profiler promises about Java, measured: small by default, at published sizes with
SONDAGE_STORM=full (`make storm-jvm`)."""

import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import jvm
import stacks

FULL = os.environ.get("SONDAGE_STORM") == "full"

# Everything, as often as it can be had: `SONDAGE_BUDGET` is the share of CPU time that it may take.
ALL = {"SONDAGE_HZ": "1000", "SONDAGE_BUDGET": "1", "SONDAGE_WALL": "on", "SONDAGE_HEAP": "64KiB"}

JCMD = os.environ.get("SONDAGE_TEST_JCMD")

# How long anything may take that ends by itself at once.
WATCHDOG = 20

# Calls of a run of some seconds that may be read wrongly: while the machine moves a virtual thread's
# frames, one may be read where it is no longer, or not yet.
MOVED = 2

PEER = "tools.profiler:async-profiler:4.6"


def tell(*figures):
    if FULL:
        print(f"\nJava {jvm.VERSION}", *figures, file=sys.stderr)


class Proof(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="proof-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        # Where the machine would say that it has crashed, and what the jar writes.
        self.flags = [f"-XX:ErrorFile={self.folder}/hs_err.log", f"-Djava.io.tmpdir={self.folder}"]

    def run_java(self, program, *arguments, flags=(), **options):
        options.setdefault("timeout", 400)
        return jvm.run(program, *arguments, flags=[*self.flags, *flags], check=False, **options)

    def compare(self, plain, profiled):
        """A profiled program must end as a plain one does, and say the same."""
        outcome = lambda ended: (ended.code, ended.output, ended.errors)  # noqa: E731
        self.assertEqual(outcome(profiled), outcome(plain))
        self.assertEqual(list(self.folder.iterdir()), [])
        self.assertGreater(len(profiled.samples), 0)


class Stress(Proof):
    """Classes that come and go, exceptions, a compiler, deoptimisation, short and virtual threads."""

    def prove(self, *flags, seconds=60 if FULL else 5, least=0.96, agent=None):
        threads = 10_000 if FULL else 1000
        plain = self.run_java("Storm", 1, 100, flags=flags, agent=[])
        self.assertEqual(plain.code, 3, plain.output + plain.errors)
        ended = self.run_java("Storm", seconds, threads, flags=flags, agent=agent, environment=ALL)
        self.compare(plain, ended)
        judged = stacks.Judged(ended.samples)
        tell(*flags, f"{judged.taken} samples, {judged.complete / judged.taken:.2%} complete, "
             f"{judged.judged} calls judged, {sum(judged.wrong.values())} wrong;",
             "cut:", judged.cut.most_common(12))
        self.assertGreater(judged.taken, seconds * 100)
        self.assertGreater(judged.java, judged.taken / 4)
        self.assertGreater(judged.judged, judged.java)
        # As above.
        wrong = sum(judged.wrong.values())
        self.assertLessEqual(wrong, judged.judged // 10_000, judged.examples)
        self.assertGreaterEqual(judged.complete / judged.taken, least, judged.cut.most_common(8))
        for kind in ("cpu", "wall", "alloc_space", "inuse_space"):
            self.assertGreater(sum(s.values.get(kind, 0) for s in ended.samples), 0, kind)

    def test_nothing_that_moves_frames_crashes_the_process_or_tears_stacks(self):
        self.prove("-XX:+UseG1GC")

    def test_nor_does_it_with_the_jar(self):
        self.prove("-XX:+UseG1GC", seconds=5, agent=jvm.by_jar())

    @unittest.skipUnless(FULL, "only at full size")
    def test_nor_does_it_with_other_collectors(self):
        for name in ("Parallel", "Serial", "Z", "Shenandoah"):
            flag = f"-XX:+Use{name}GC"
            command = [jvm.HOME / "bin/java", flag, "-version"]
            if subprocess.run(command, capture_output=True).returncode == 0:
                with self.subTest(name):
                    self.prove(flag)


class Checks(Proof):
    # Faults come to us first, and the machine has no way to be told: this alone is said, on its output.
    MODIFIED = re.compile(
        r"(Warning: SIG(SEGV|BUS) handler (modified!|expected:\S+ +found:\S+)\n)+Signal Handlers:\n"
        r"( *SIG\w+: .*\n|  \*\*\* .*\n)+(Consider using jsig library\.\n)?\n?")

    def test_the_machines_own_checks_of_native_code_find_nothing_but_our_handler_of_faults(self):
        def run(agent):
            return self.run_java("Storm", 3, 200, flags=["-Xcheck:jni"], agent=agent, environment=ALL)

        plain = run([])
        for agent in (jvm.by_agentpath(), jvm.by_jar()):
            with self.subTest(agent=agent[0].partition(":")[0]):
                profiled = run(agent)
                for block in self.MODIFIED.finditer(profiled.output):
                    # Of no other signal.
                    lines = block.group().splitlines()
                    modified = [lines[at - 1] for at, line in enumerate(lines) if "*** Handler" in line]
                    self.assertTrue(all(re.match(r" *SIG(SEGV|BUS): ", line) for line in modified), lines)
                profiled.output = self.MODIFIED.sub("", profiled.output)
                self.compare(plain, profiled)


class Recordings(Proof):
    """JFR beside us."""

    EVENT = "jdk.CPUTimeSample" if jvm.VERSION >= 25 else "jdk.ExecutionSample"

    def setUp(self):
        super().setUp()
        self.tool = jvm.HOME / "bin/jfr"
        if not self.tool.exists():
            self.skipTest("this runtime has no tool that reads recordings")

    def record(self, agent):
        """A run beside a recording: what was recorded of our work, and what we have seen of it."""
        file = self.folder / "recording.jfr"
        settings = f"{self.EVENT}#enabled=true," if jvm.VERSION >= 25 else ""
        flags = [f"-XX:StartFlightRecording:{settings}filename={file}", "-Xlog:jfr*=error"]
        ended = self.run_java("Work", 3000, flags=flags, agent=agent, environment=ALL)
        # Java 11 tells of it on its output, whatever the log is to have.
        output = re.sub(r"\AStarted recording 1\..*\n\nUse jcmd .*\n", "", ended.output)
        self.assertEqual((ended.code, output, ended.errors), (0, "", ""))
        command = [self.tool, "print", "--json", "--events", self.EVENT, file]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        file.unlink()
        events = json.loads(printed)["recording"]["events"]
        frames = [(event["values"].get("stackTrace") or {}).get("frames", []) for event in events]
        work = [each for each in frames if any(at["method"]["name"] == "burn" for at in each)]
        return len(work), sum(jvm.cpu(s) for s in ended.samples if "Work.burn" in s.names)

    def test_both_have_samples(self):
        alone, _ = self.record([])
        for agent in (jvm.by_agentpath(), jvm.by_jar()):
            with self.subTest(agent=agent[0].partition(":")[0]):
                recorded, ours = self.record(agent)
                tell("JFR", self.EVENT, alone, "alone,", recorded, f"beside us, we {ours / 1e9} s")
                self.assertGreater(recorded, alone * 0.7)
                self.assertGreater(ours, 2.7e9)
                self.assertLess(ours, 3.3e9)


class Faults(Proof):
    """What Java does by signals of its own."""

    BOTH = jvm.by_jar() + jvm.by_agentpath()

    def test_null_pointers_and_stack_overflows_are_exceptions(self):
        nulls, overflows = (100_000, 100_000) if FULL else (20_000, 2_000)
        for flags in ([], ["-XX:TieredStopAtLevel=1"], ["-Xint"]):
            with self.subTest(flags=flags):
                plain = self.run_java("Faults", nulls, overflows, flags=flags, agent=[])
                for agent in (self.BOTH, jvm.by_agentpath()):
                    ended = self.run_java("Faults", nulls, overflows, flags=flags, agent=agent,
                                          environment=ALL)
                    self.compare(plain, ended)

    def test_a_program_handles_signals_itself(self):
        for names in (["HUP", "USR2", "TERM", "WINCH"], ["PROF", "VTALRM", "USR1"]):
            plain = self.run_java("Signals", 20, *names, agent=[])
            ended = self.run_java("Signals", 20, *names, agent=self.BOTH, environment=ALL)
            with self.subTest(names=names):
                self.compare(plain, ended)


class Twins(Proof):
    """Other agents in the same process."""

    def peer(self):
        """async-profiler's library, from Maven Central."""
        folder = jvm.TARGET / "peers"
        jar = folder / "async-profiler-4.6.jar"
        if not jar.exists():
            command = ["mvn", "--quiet", "--batch-mode", "dependency:copy", f"-Dartifact={PEER}",
                       f"-DoutputDirectory={folder}"]
            subprocess.run(command, check=True)
        machine = {"x86_64": "x64", "aarch64": "arm64"}[os.uname().machine]
        subprocess.run([sys.executable, "-m", "zipfile", "-e", jar, folder / "async-profiler"], check=True)
        return folder / f"async-profiler/linux-{machine}/libasyncProfiler.so"

    def orders(self, event):
        """async-profiler, it and us in both orders, and where it writes stacks as text."""
        library, file = self.peer(), self.folder / "peer.collapsed"
        peer, ours = [f"-agentpath:{library}=start,{event},file={file}"], jvm.by_agentpath()
        return peer, [("ours first", ours + peer), ("theirs first", peer + ours)], file

    def test_both_ways_in_are_one_profiler(self):
        for agent in (jvm.by_agentpath() + jvm.by_jar(), jvm.by_jar() + jvm.by_agentpath()):
            plain = self.run_java("Storm", 1, 100, agent=[])
            ended = self.run_java("Storm", 4, 200, agent=agent, environment=ALL)
            self.compare(plain, ended)
            judged = stacks.Judged(ended.samples)
            self.assertLessEqual(sum(judged.wrong.values()), MOVED, judged.examples)

    @unittest.skipUnless(FULL, "only at full size")
    def test_async_profiler_beside_us(self):
        for event in ("event=cpu,interval=1ms", "event=wall,interval=5ms", "event=ctimer,interval=1ms"):
            peer, orders, file = self.orders(event)
            plain = self.run_java("Storm", 1, 100, agent=peer)
            file.unlink()
            for order, agent in orders:
                with self.subTest(order, event=event):
                    ended = self.run_java("Storm", 10, 1000, agent=agent, environment=ALL)
                    self.assertTrue(file.exists(), "theirs is empty")
                    theirs = sum(int(line.rsplit(" ", 1)[1]) for line in file.read_text().splitlines())
                    file.unlink()
                    self.compare(plain, ended)
                    judged = stacks.Judged(ended.samples)
                    tell(order, event, theirs, "theirs,", judged.taken, "ours")
                    self.assertGreater(theirs, 500)
                    self.assertGreater(judged.taken, 500)
                    self.assertLessEqual(sum(judged.wrong.values()), MOVED, judged.examples)

    @unittest.skipUnless(FULL, "only at full size")
    def test_where_another_has_memory_it_is_said_that_we_have_not(self):
        _, orders, file = self.orders("event=alloc,alloc=64k")
        for order, agent in orders:
            with self.subTest(order):
                ended = self.run_java("Stats", 1500, agent=agent, environment=ALL)
                self.assertTrue(file.exists() and file.read_text(), "theirs is empty")
                self.assertEqual(ended.code, 0, ended.errors)
                stats = json.loads(ended.output.splitlines()[-1])
                ours = sum(s.values.get("alloc_space", 0) for s in ended.samples)
                tell(order, "memory", stats["memory"], stats["warnings"], ended.errors, ours)
                self.assertGreater(sum(map(jvm.cpu, ended.samples)), 1e9)
                if ours == 0:
                    said = stats["memory"]["error"] or "".join(stats["warnings"]) or ended.errors
                    self.assertTrue(said, "nothing says that there is no profile of memory")


class Ends(Proof):
    """Programs that are ended, and agents that are loaded, at any moment."""

    ROUNDS = 200 if FULL else 20

    # What machines say by themselves that are asked to end while they start, with code 1 and without.
    NOT_STARTED = "Error occurred during initialization of "
    STARTS = re.compile(r"Runtime\.exit\(143\) logging failed: .*\n")

    def setUp(self):
        super().setUp()
        self.random = random.Random(int(os.environ.get("SONDAGE_STORM_SEED", "1")))
        self.profiles = self.folder / "profiles"
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()

    @contextlib.contextmanager
    def started(self, *arguments, agent, flags=()):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SONDAGE_")}
        environment |= {**ALL, "SONDAGE_PUSH": f"file:{self.profiles}", "SONDAGE_INTERVAL": "10m"}
        command = [jvm.HOME / "bin/java", "-Xmx128m", *agent, f"-Djava.io.tmpdir={self.temporary}",
                   f"-XX:ErrorFile={self.folder}/hs_err.log", *flags,
                   "-cp", f"{jvm.CLASSES}:{jvm.JAR}", *map(str, arguments)]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, env=environment) as process:
            try:
                yield process
            finally:
                process.kill()

    def ended(self, process):
        """What it has printed. Children have the same pipes: these close when all have ended."""
        try:
            return process.communicate(timeout=WATCHDOG)
        except subprocess.TimeoutExpired:
            stacks_now = subprocess.run([JCMD or "true", str(process.pid), "Thread.print"],
                                        capture_output=True, text=True, timeout=60).stdout
            raise AssertionError(f"it hangs:\n{stacks_now}") from None

    def agents(self):
        return [jvm.by_agentpath(), jvm.by_jar()]

    def duration(self, agent):
        """How long a program takes that does next to nothing; the first is slower than others."""
        for _ in range(2):
            before = time.monotonic()
            with self.started("Storm", 0, 40, "forking", "chains", agent=agent) as process:
                self.ended(process)
        return time.monotonic() - before

    def end_by(self, number, expected):
        for agent in self.agents():
            longest = self.duration(agent)
            seen = set()
            for _ in range(self.ROUNDS // 2):
                with self.started("Storm", 0, 40, "forking", "chains", agent=agent) as process:
                    wait = self.random.uniform(0, longest * 1.1)
                    time.sleep(wait)
                    process.send_signal(number)
                    output, errors = self.ended(process)
                seen.add(process.returncode)
                if process.returncode != 1 or not output.startswith(self.NOT_STARTED):
                    self.assertIn(process.returncode, expected, f"after {wait} s of {longest}: {errors}")
                self.assertEqual(self.STARTS.sub("", errors), "", f"after {wait} s of {longest}")
                self.assertFalse((self.folder / "hs_err.log").exists(), f"after {wait} s of {longest}")
                # What is killed between the two calls that create and delete the jar's file leaves it.
                left = list(self.temporary.iterdir())
                self.assertLessEqual(len(left), int(agent == jvm.by_jar()), left)
                self.assertTrue(all(file.stat().st_size == 0 for file in left), left)
            for file in left:
                file.unlink()
            tell("ended by", number.name, self.ROUNDS // 2, "times:", seen)

    def test_a_kill_leaves_nothing(self):
        self.end_by(signal.SIGKILL, {-signal.SIGKILL, 3})

    def test_a_program_that_is_asked_to_end_does(self):
        self.end_by(signal.SIGTERM, {-signal.SIGTERM, 128 + signal.SIGTERM, 3})

    @unittest.skipIf(JCMD is None, "no jcmd here, which loads agents into programs that run")
    def test_agents_that_are_loaded_twice_at_once_are_one(self):
        flags = ["-XX:+EnableDynamicAgentLoading"] if jvm.VERSION >= 21 else []
        for libraries in ((jvm.LIBRARY, jvm.LIBRARY), (jvm.JAR, jvm.JAR), (jvm.LIBRARY, jvm.JAR)):
            with self.started("Storm", 3, 100, agent=[], flags=flags) as process:
                # Attaching is a signal that ends a machine that has not started.
                time.sleep(1)
                load = [JCMD, str(process.pid), "JVMTI.agent_load"]
                pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
                tools = [subprocess.Popen([*load, library], **pipes) for library in libraries]
                said = [tool.communicate(timeout=WATCHDOG)[0] for tool in tools]
                output, errors = self.ended(process)
            self.assertEqual((process.returncode, errors), (3, ""), (output, said))
            profiles = [file.name for file in self.profiles.iterdir()]
            # What is in use is a profile of its own.
            self.assertEqual(len([it for it in profiles if "-heap" not in it]), 1, (said, profiles))
            shutil.rmtree(self.profiles)
            self.assertEqual(list(self.temporary.iterdir()), [])

    @unittest.skipIf(JCMD is None, "no jcmd here, which loads agents into programs that run")
    def test_a_kill_while_an_agent_is_loaded_hangs_nobody(self):
        flags = ["-XX:+EnableDynamicAgentLoading"] if jvm.VERSION >= 21 else []
        for _ in range(max(3, self.ROUNDS // 10)):
            with self.started("Storm", 3, 100, "forking", "chains", agent=[], flags=flags) as process:
                time.sleep(0.7)
                load = [JCMD, str(process.pid), "JVMTI.agent_load", jvm.JAR]
                tool = subprocess.Popen(load, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(self.random.uniform(0, 1))
                process.kill()
                self.ended(process)
                tool.wait(timeout=WATCHDOG)
            self.assertEqual(list(self.temporary.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
