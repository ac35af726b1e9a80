"""The jar as an agent: it starts, says nothing, and leaves nothing behind."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import unittest

import jvm


def may_mount():
    """Whether a mount namespace of one's own can be had."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, capture_output=True).returncode == 0


MOUNTS = may_mount()

JCMD = os.environ.get("SONDAGE_TEST_JCMD") or shutil.which("jcmd")


def mounted(*mounts):
    """A command that runs another one where these are mounted: options, folder."""
    lines = [f"mount -t tmpfs -o {options} tmpfs '{folder}'" for options, folder in mounts]
    script = " && ".join([*lines, 'exec "$@"'])
    return ["unshare", "--mount", "sh", "-c", script, "sh"]


class Jar(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="jar-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_maps(self, **options):
        flags = [f"-Djava.io.tmpdir={self.folder}", *options.pop("flags", [])]
        options.setdefault("agent", jvm.by_jar())
        return jvm.run("Maps", flags=flags, **options)

    def assert_works(self, ended, mapped=1):
        self.assertEqual(ended.errors, "")
        lines = [line for line in ended.output.splitlines() if line.startswith("mapped")]
        self.assertEqual(len({line.split()[5] for line in lines}), mapped, ended.output)
        seen = sum(jvm.cpu(s) for s in ended.samples if "Work.inner" in s.names)
        self.assertGreater(seen, 0.2e9)
        return lines

    def test_it_starts_silently_and_nothing_is_left(self):
        ended = self.run_maps()
        lines = self.assert_works(ended)
        self.assertTrue(all(line.endswith("(deleted)") for line in lines), lines)
        self.assertNotIn("file ", ended.output)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_options_are_settings(self):
        ended = self.run_maps(agent=jvm.by_jar("enabled=false"))
        self.assertEqual((ended.errors, ended.profiles), ("", []))

    def test_a_wrong_option_is_one_message_and_the_program_runs(self):
        ended = self.run_maps(agent=jvm.by_jar("hertz=100"))
        self.assertIn("hertz", ended.errors)
        self.assertEqual(ended.code, 0)

    def test_class_data_sharing_stays_on(self):
        archive = jvm.HOME / "lib/server/classes.jsa"
        if not archive.exists():
            self.skipTest("this runtime has no archive of classes")
        ended = self.run_maps(flags=["-Xshare:on", "-Xlog:class+load:file=" + str(self.folder / "l")])
        self.assertNotIn("haring is only supported", ended.output + ended.errors)
        self.assertEqual(ended.errors, "")
        lines = (self.folder / "l").read_text().splitlines()
        shared = [line for line in lines if "source: shared objects file" in line]
        self.assertGreater(len(shared), 400)

    def test_a_folder_that_cannot_be_written_to(self):
        lines = self.assert_works(self.run_maps(flags=["-Djava.io.tmpdir=/proc/self"]))
        self.assertIn("/dev/shm/", lines[0])

    @unittest.skipUnless(MOUNTS, "mounting is not allowed here")
    def test_a_folder_from_which_no_code_may_run(self):
        ended = self.run_maps(within=mounted(("noexec", self.folder)))
        lines = self.assert_works(ended)
        self.assertIn("/dev/shm/", lines[0])
        self.assertNotIn("file ", ended.output)

    @unittest.skipUnless(MOUNTS, "mounting is not allowed here")
    def test_no_folder_at_all_is_memory_or_one_message(self):
        within = mounted(("ro", self.folder), ("noexec", "/dev/shm"), ("ro", "/var/tmp"))
        ended = self.run_maps(within=within, flags=["-Duser.home=/proc"])
        if jvm.VERSION >= 22:
            self.assertIn("memfd:sondage", self.assert_works(ended)[0])
        else:
            self.assertRegex(ended.errors, r"^sondage: not started: .*Java 22\]\n$")

    def test_files_of_others_are_never_loaded(self):
        """Somebody else who may write into the folder, and is always there first."""
        planted = self.folder / "libsondage_jvm.so"
        planted.write_text("no library")
        (self.folder / "sondage-").symlink_to(planted)
        ends, seen, refused = threading.Event(), set(), []

        def replace():
            while not ends.is_set():
                for name in os.listdir(self.folder):
                    if name.startswith("sondage-") and len(name) > len("sondage-"):
                        seen.add(name)
                for name in seen:
                    # Where it was, and where the kernel says that it is.
                    for place in (name, name + " (deleted)"):
                        try:
                            (self.folder / place).unlink(missing_ok=True)
                            (self.folder / place).symlink_to(planted)
                        except OSError as error:
                            refused.append(error.errno)

        other = threading.Thread(target=replace)
        other.start()
        try:
            # The file is there for a moment: until it was seen.
            for _ in range(5):
                lines = self.assert_works(self.run_maps())
                self.assertTrue(all("/sondage-" in line for line in lines), lines)
                if seen:
                    break
        finally:
            ends.set()
            other.join()
        self.assertTrue(not seen or refused, "names that Linux gives to deleted files could be taken")

    @unittest.skipIf(JCMD is None, "no jcmd here, which loads agents into programs that run")
    def test_it_can_be_loaded_into_a_program_that_runs(self):
        flags = ["-XX:+EnableDynamicAgentLoading"] if jvm.VERSION >= 21 else []
        ended = jvm.run("Attached", JCMD, jvm.JAR, agent=[], flags=flags)
        self.assertEqual(ended.errors, "")
        after = [s for s in ended.samples if "Attached.after" in s.names]
        self.assertGreater(sum(map(jvm.cpu, after)), 0.2e9)
        self.assertEqual({s.labels.get("step") for s in after}, {"after"})

    def test_with_the_agent_by_path_too_there_is_one_profiler(self):
        for agents in (jvm.by_jar() + jvm.by_agentpath(), jvm.by_agentpath() + jvm.by_jar()):
            ended = self.run_maps(agent=agents)
            self.assert_works(ended)
            self.assertEqual(len(ended.profiles), 1)

    def test_another_class_loader_does_not_load_a_second_library(self):
        ended = jvm.run("SecondLoader", jvm.JAR, agent=jvm.by_jar())
        self.assertEqual(ended.errors, "")
        self.assertIn("loaded by another class loader", ended.output)
        self.assertEqual(len(ended.profiles), 1)

    def test_twice_is_once(self):
        ended = self.run_maps(agent=jvm.by_jar() + jvm.by_jar())
        self.assert_works(ended)
        self.assertEqual(len(ended.profiles), 1)


if __name__ == "__main__":
    unittest.main()
