"""Labels: each sample of known work has those that the work had."""

import unittest

import jvm

# What a function has used, in nanoseconds; a sampler at 100 Hz sees some of it.
WORK = 0.25e9
LEAST = WORK / 2

SPAN = {"span_id": "b7ad6b7169203331", "trace_id": "0af7651916cd43dd8448eb211c80319c"}

OURS = ("route", "step", "method", "tenant", "task", "number", "run", "request", "span_id",
        "trace_id")


class Labels(unittest.TestCase):
    def run_labelled(self, what, **options):
        options.setdefault("agent", jvm.by_jar())
        ended = jvm.run("LabelWork", what, **options)
        self.assertEqual(ended.errors, "")
        return ended

    def check(self, ended, expected, least=LEAST):
        """That all samples of each function have its labels, and that there are some."""
        for function, labels in expected.items():
            samples = [s for s in ended.samples if f"LabelWork.{function}" in s.names]
            with self.subTest(function):
                self.assertGreater(sum(map(jvm.cpu, samples)), least)
                for sample in samples:
                    found = {k: v for k, v in sample.labels.items() if k in OURS}
                    self.assertEqual(found, labels)

    def test_scopes_nest_and_restore(self):
        self.check(self.run_labelled("nested"), {
            "outer": {"route": "/outer"},
            "inner": {"route": "/outer", "step": "inner"},
            "restored": {"route": "/outer"},
            "bare": {},
            "several": {"route": "/several", "method": "GET", "tenant": "acme"},
            "afterFailure": {},
        })

    def test_the_agent_by_path_has_the_same_labels_and_no_second_library(self):
        ended = self.run_labelled("nested", agent=jvm.by_agentpath())
        self.check(ended, {"inner": {"route": "/outer", "step": "inner"}, "bare": {}})

    def test_wrapped_executors_and_futures_take_labels_along(self):
        labels = {"task": "import"}
        names = ["execute", "submit", "call", "all", "scheduled", "supply", "supplyWrapped", "stage"]
        expected = {name: labels for name in names}
        self.check(self.run_labelled("executors"), {**expected, "unlabelled": {}})

    @unittest.skipIf(jvm.VERSION < 21, "virtual threads need Java 21")
    def test_each_virtual_thread_has_its_own(self):
        expected = {f"n{number}": {"number": f"n{number}"} for number in range(4)}
        self.check(self.run_labelled("virtual"), expected)

    def test_samples_have_the_ids_of_the_span(self):
        self.check(self.run_labelled("spans"), {
            "underSpan": SPAN,
            "labelledUnderSpan": {"route": "/pay", **SPAN},
            "afterSpan": {},
        })

    def test_labels_go_on_after_the_profiler_was_started_again(self):
        ended = self.run_labelled("restart", agent=native_access())
        self.check(ended, {"first": {"run": "first"}, "second": {"run": "second"}})
        self.assertFalse([s for s in ended.samples if "LabelWork.bare" in s.names])

    def test_a_program_may_start_the_profiler_that_an_agent_is_not_to_start(self):
        for agent in jvm.by_agentpath("enabled=false"), jvm.by_jar("enabled=false"):
            ended = self.run_labelled("restart", agent=agent)
            self.check(ended, {"first": {"run": "first"}, "second": {"run": "second"}})

    def test_values_without_end_leave_nothing_behind(self):
        ended = self.run_labelled("hostile")
        self.assertLess(int(ended.output), 30)
        self.check(ended, {"afterwards": {}})

    def test_without_a_profiler_labels_do_nothing(self):
        ended = jvm.run("LabelWork", "nested", agent=[])
        self.assertEqual((ended.errors, ended.profiles), ("", []))


def native_access():
    """What a program that starts the profiler itself needs from Java 24 on, or Java warns."""
    return ["--enable-native-access=ALL-UNNAMED"] if jvm.VERSION >= 24 else []


if __name__ == "__main__":
    unittest.main()
