"""`python -m sondage`, the `sondage` command, and what Python is told by neither."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from tests.programs import BURN, profiles, python, run

COMMAND = os.path.join(os.path.dirname(sys.executable), "sondage")

SHOW = """
import os, sys
print(__name__, sys.argv, os.path.realpath(sys.path[0]), sys.flags.dev_mode)
print(__spec__ and __spec__.name, globals().get("__file__"))
print([place for place in sys.path if "sondage" in place])
"""


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = os.path.realpath(folder.name)
        self.profiles = os.path.join(self.folder, "profiles")

    def write(self, name, code):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(code)
        return path


class Module(Folder):
    def alike(self, *arguments, options=(), check=True, **environment):
        """Runs Python with and without the profiler; both must do the same."""
        environment.setdefault("SONDAGE_PUSH", "file:" + self.profiles)
        environment.update(check=check, cwd=self.folder)
        bare = python(None, *options, *arguments, **environment)
        with_us = python(None, *options, "-m", "sondage", *arguments, **environment)
        self.assertEqual(with_us.returncode, bare.returncode)
        self.assertEqual(with_us.stdout, bare.stdout)
        self.assertEqual(with_us.stderr, bare.stderr)
        return with_us

    def test_a_file_a_module_and_code_see_what_they_see_without_it(self):
        path = self.write("show.py", SHOW)
        self.alike(path, "-x", "a b", "--help")
        self.alike("-m", "show", "-m", "x", PYTHONPATH=self.folder)
        self.alike("-c", SHOW, "-c")
        self.alike(path, options=["-X", "dev", "-W", "ignore"])
        self.alike("-c", "import sys; print(sys.flags, sys.warnoptions)", options=["-uO", "-W", "once"])

    def test_exit_codes_and_tracebacks_are_the_program_s(self):
        for code in ("import sys; sys.exit(7)", "raise SystemExit('bye')", "1 / 0", "exit()"):
            with self.subTest(code=code):
                self.alike(self.write("end.py", "def end():\n    " + code + "\nend()\n"), check=False)

    def test_a_signal_ends_the_program_as_ever(self):
        self.alike("-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", check=False)

    def test_the_program_is_profiled_and_so_are_the_programs_that_it_starts(self):
        code = BURN + """
import os, subprocess, sys
burn()
print(os.getpid(), flush=True)
if len(sys.argv) == 1:
    subprocess.run([sys.executable, __file__, "child"], check=True)
"""
        path = self.write("parent.py", code)
        ended = python(None, "-m", "sondage", path, SONDAGE_PUSH="file:" + self.profiles)
        self.assertEqual(profiles(self.profiles), set(ended.stdout.split()))

    def test_a_sitecustomize_that_was_there_before_is_imported_too(self):
        self.write("sitecustomize.py", "print('theirs')")
        self.alike("-c", "import sitecustomize; print(sitecustomize.__file__)", PYTHONPATH=self.folder)

    def test_a_broken_setting_is_told_and_the_program_runs(self):
        ended = python(None, "-m", "sondage", "-c", "print(1)", SONDAGE_HZ="0")
        self.assertEqual(ended.stdout, "1\n")
        self.assertRegex(ended.stderr, "^sondage: this Python program is not profiled: SONDAGE_HZ.*\n$")

    def test_the_program_s_own_start_wins(self):
        code = "import sondage; sondage.start(hz=50, push=[]); sondage.flush()\n"
        code += "print(sondage.stats()['interval_nanos'])"
        ended = python(None, "-m", "sondage", "-c", code, SONDAGE_HZ="25", SONDAGE_PUSH="none")
        self.assertEqual(ended.stdout.strip(), "20000000")

    def test_the_program_s_own_start_has_its_own_options(self):
        code = """
import concurrent.futures, sondage
submit = concurrent.futures.ThreadPoolExecutor.submit
sondage.start(push=[], propagate_executors=False)
print(submit is not concurrent.futures.ThreadPoolExecutor.submit)
"""
        ended = python(None, "-m", "sondage", "-c", code, SONDAGE_PUSH="none")
        self.assertEqual(ended.stdout.strip(), "True")

    def test_without_a_program_its_use_is_told(self):
        ended = python(None, "-m", "sondage", check=False)
        self.assertEqual((ended.returncode, ended.stdout), (2, ""))
        self.assertIn("usage: python -m sondage", ended.stderr)
        self.assertEqual(python(None, "-m", "sondage", "--help").returncode, 0)


class Command(Folder):
    def record(self, *command, **options):
        """Records a command; what `sondage report` says of it, and what was said meanwhile."""
        output = os.path.join(self.folder, "profile.pb.gz")
        ended = run([COMMAND, "record", "-o", output, "--", *command], **options)
        report = run([COMMAND, "report", "--by", "pid", output]).stdout
        return ended, report

    def test_it_answers_for_its_version_and_for_wrong_arguments(self):
        self.assertRegex(run([COMMAND, "--version"]).stdout, r"^sondage \d")
        self.assertEqual(run([COMMAND, "no-such"], check=False).returncode, 2)
        self.assertEqual(run([COMMAND, "doctor"], check=False).returncode in (0, 1), True)

    def test_a_recorded_python_program_has_one_profiler_and_keeps_its_exit_code(self):
        code = BURN + """
import os, sys, sondage
assert "_sondage" in str(sys.modules)
burn(0.5)
sondage.start(hz=1)
tasks = [open(f"/proc/self/task/{t}/comm").read().strip() for t in os.listdir("/proc/self/task")]
assert tasks.count("sondage") == 1 and tasks.count("sondage-record") == 1, tasks
sys.exit(3)
"""
        ended, report = self.record(sys.executable, "-c", code, check=False)
        self.assertEqual(ended.returncode, 3, ended.stderr)
        self.assertIn("1 process", ended.stderr)

    def test_children_by_fork_spawn_and_exec_are_recorded_too(self):
        code = BURN + """
import os, subprocess, sys, multiprocessing
print(os.getpid(), flush=True)
burn()
child = os.fork()
if child == 0:
    print(os.getpid(), flush=True)
    burn()
    os._exit(0)
os.waitpid(child, 0)
if len(sys.argv) == 1:
    subprocess.run([sys.executable, __file__, "child"], check=True)
    os.execv(sys.executable, [sys.executable, __file__, "again"])
"""
        path = self.write("parent.py", code)
        ended, report = self.record(sys.executable, path)
        printed = [word for line in ended.stdout.splitlines() for word in line.split() if word.isdigit()]
        pids = set(printed[:5])
        for pid in pids:
            self.assertIn(pid, report)

    def test_a_program_without_python_is_recorded_by_the_library(self):
        ended, report = self.record("sh", "-c", "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done")
        self.assertIn("1 process", ended.stderr)

    def test_ctrl_c_ends_what_waits(self):
        sleeper = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
        output = os.path.join(self.folder, "profile.pb.gz")
        process = subprocess.Popen(
            [COMMAND, "record", "-o", output, "--", *sleeper],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.assertEqual(process.stdout.readline(), b"up\n")
        begun = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
        self.assertLess(time.monotonic() - begun, 20)
        self.assertNotEqual(process.returncode, 0)


if __name__ == "__main__":
    unittest.main()
