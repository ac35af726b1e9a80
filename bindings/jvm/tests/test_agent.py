"""What an agent does to a program, and what its profiles say."""

import pathlib
import unittest

import jvm


class Agent(unittest.TestCase):
    def test_frames_have_class_method_file_and_line(self):
        ended = jvm.run("Work", 1000)
        self.assertEqual(ended.errors, "")
        inner = [s for s in ended.samples if "Work.inner" in s.names]
        self.assertGreater(sum(map(jvm.cpu, inner)), 0.8e9)
        for sample in inner:
            names = sample.names[sample.names.index("Work.inner"):]
            self.assertEqual(names, ["Work.inner", "Work.outer", "Work.main"])
            frame = next(frame for frame in sample.frames if frame.name == "Work.outer")
            self.assertEqual((frame.file, frame.line), ("Work.java", 19))

    def test_a_loop_has_its_line_in_code_of_each_compiler(self):
        program = (pathlib.Path(__file__).parent / "programs/Lines.java").read_text().splitlines()
        line = next(at for at, text in enumerate(program, 1) if text.endswith("// loop"))
        # The interpreter; C1 without, and with, counters for C2; all of them.
        for flags in (["-Xint"], ["-XX:TieredStopAtLevel=1"], ["-XX:TieredStopAtLevel=3"], []):
            ended = jvm.run("Lines", 700, flags=flags)
            leaves = [(sample.frames[0], jvm.cpu(sample)) for sample in ended.samples
                      if sample.names[0] == "Lines.loop"]
            found = sum(cpu for _, cpu in leaves)
            self.assertGreater(found, 0.4e9, flags)
            right = sum(cpu for frame, cpu in leaves if frame.line == line)
            self.assertGreater(right, 0.95 * found, (flags, right, found))


if __name__ == "__main__":
    unittest.main()
