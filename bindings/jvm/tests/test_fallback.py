"""What is done where frames of Java cannot be read, or are not to be."""

import pathlib
import resource
import tempfile
import unittest

import jvm

STREAMS = jvm.VERSION >= 14


def children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1e9 * (used.ru_utime + used.ru_stime)


def total(samples, name=None):
    return sum(jvm.cpu(sample) for sample in samples if name is None or name in sample.names)


@unittest.skipUnless(STREAMS, "JDK Flight Recorder has no streams here")
class Jfr(unittest.TestCase):
    def test_frames_and_shares_are_right_and_no_time_counts_twice(self):
        before = children_cpu()
        ended = jvm.run("Shares", 4000, agent=jvm.by_jar("java=jfr"))
        process = children_cpu() - before
        self.assertEqual(ended.errors, "")
        # What the profiler uses itself, with the start of JDK Flight Recorder, is in no sample.
        everything = total(ended.samples)
        self.assertLess(everything, 1.05 * process)
        self.assertGreater(everything, 0.7 * process)
        once, twice = total(ended.samples, "Shares.once"), total(ended.samples, "Shares.twice")
        # Of the first second and of the last five, when `twice` runs alone, nothing may be told.
        self.assertTrue(0.5 * 4e9 < once < 1.15 * 4e9, once)
        self.assertTrue(0.25 * 8e9 < twice < 1.15 * 8e9, twice)
        told = everything - total(ended.samples, "[unsampled]")
        self.assertGreater(total(ended.samples, "Work.burn"), 0.8 * told)

    def test_frames_have_class_method_and_line_and_stacks_the_thread_s_name(self):
        ended = jvm.run("Work", 7000, agent=jvm.by_agentpath("java=jfr"))
        self.assertEqual(ended.errors, "")
        inner = [sample for sample in ended.samples if "Work.inner" in sample.names]
        self.assertGreater(total(inner), 1.5e9)
        for sample in inner:
            names = sample.names[sample.names.index("Work.inner"):]
            self.assertEqual(names, ["Work.inner", "Work.outer", "Work.main"])
            frame = next(frame for frame in sample.frames if frame.name == "Work.outer")
            self.assertEqual(frame.line, 19)
            self.assertEqual(sample.labels.get("thread"), "main")

    def test_without_the_module_there_are_native_frames_and_a_line(self):
        modules = "--limit-modules=java.management,java.instrument"
        ended = jvm.run("Work", 300, agent=jvm.by_jar("java=jfr"), flags=[modules])
        line = "frames of Java are not read; this runtime has no JDK Flight Recorder"
        self.assertEqual(ended.errors, f"sondage: {line}\n")
        self.assertGreater(total(ended.samples), 0.2e9)


class Fallback(unittest.TestCase):
    def test_native_frames_only_where_no_others_are_wanted(self):
        ended = jvm.run("Work", 500, agent=jvm.by_jar("java=native"))
        self.assertEqual(ended.errors, "")
        self.assertGreater(total(ended.samples), 0.4e9)
        names = {name for sample in ended.samples for name in sample.names}
        self.assertFalse([name for name in names if name.startswith(("Work.", "java."))])

    def test_streams_are_not_even_loaded_where_frames_can_be_read(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "log"
            ended = jvm.run("Work", 500, agent=jvm.by_jar(), flags=[f"-Xlog:class+load:file={log}"])
            loaded = log.read_text()
        self.assertEqual(ended.errors, "")
        self.assertGreater(total(ended.samples, "Work.inner"), 0.3e9)
        self.assertIn("sondage.Native", loaded)
        self.assertNotIn("sondage.Streaming", loaded)
        self.assertNotIn("jdk.jfr.consumer", loaded)

    def test_what_cannot_be_is_one_line(self):
        jar = None if STREAMS else jvm.JAR
        ended = jvm.run("Work", 500, agent=jvm.by_agentpath("java=jfr"), jar=jar)
        why = "sondage.jar on the class path" if STREAMS else "streams from Java 14 on"
        self.assertRegex(ended.errors, rf"^sondage: frames of Java are not read; .*{why}.*\n$")
        self.assertGreater(total(ended.samples), 0.4e9)


if __name__ == "__main__":
    unittest.main()
