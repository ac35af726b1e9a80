"""What an agent does to a program, and what its profiles say."""

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


if __name__ == "__main__":
    unittest.main()
