"""Frameworks: samples of a request have its route, and those of a span its ids."""

import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import jvm  # noqa: E402
from test_labels import native_access  # noqa: E402

CLASSES = os.environ["SONDAGE_TEST_SERVICES"].split(":")

LABELS = ("route", "method", "span_id", "trace_id", "span_name")


class Services(unittest.TestCase):
    def check(self, ended, expected):
        for function, labels in expected.items():
            samples = [s for s in ended.samples if function in s.names]
            with self.subTest(function):
                self.assertGreater(sum(map(jvm.cpu, samples)), 0.15e9)
                for sample in samples:
                    found = {k: v for k, v in sample.labels.items() if k in LABELS}
                    self.assertEqual(found, labels)

    def check_shop(self, agent):
        ended = jvm.run("shop.Shop", agent=agent, classes=CLASSES)
        self.check(ended, {
            "shop.Shop.order": {"route": "/orders/{id}", "method": "GET"},
            "shop.Shop.items": {"route": "/orders/{id}/items", "method": "POST"},
            "shop.Shop.later": {"route": "/later/{id}", "method": "GET"},
            "shop.Shop.mail": {"route": "/mails/{id}", "method": "GET"},
            "shop.Shop.fail": {"route": "/fails/{id}", "method": "GET"},
        })

    def test_the_spring_boot_starter_starts_the_profiler_and_labels_requests(self):
        self.check_shop(native_access())

    def test_with_the_agent_the_starter_labels_requests(self):
        self.check_shop(jvm.by_jar())

    def traced(self):
        ended = jvm.run("Traced", agent=jvm.by_jar(), classes=CLASSES)
        span, trace, marked = ended.output.splitlines()
        self.assertEqual(marked, span)
        return ended, {"span_name": "GET /pay", "span_id": span, "trace_id": trace}

    def test_samples_have_the_ids_of_the_local_root_span(self):
        ended, labels = self.traced()
        self.check(ended, {
            "Traced.inRoot": labels,
            "Traced.inChild": labels,
            "Traced.onOtherThread": labels,
            "Traced.outside": {},
            "Traced.onOtherThreadOutside": {},
        })


if __name__ == "__main__":
    unittest.main()
