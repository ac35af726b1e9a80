"""Programs and settings of pyroscope-java."""

import base64
import gzip
import http.server
import pathlib
import tempfile
import threading
import unittest

import jvm
from tests import pprof
from test_labels import native_access


class Server:
    """Takes what is sent to Pyroscope."""

    def __enter__(self):
        self.requests = []
        taken = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                taken.append((self.path, dict(self.headers.items()), body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        return self

    def __exit__(self, *problem):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def headers(self):
        return [{k.lower(): v for k, v in headers.items()} for _, headers, _ in self.requests]

    def body(self):
        """Everything that was sent, as bytes; compressed parts, too."""
        bodies = b""
        for _, headers, body in self.requests:
            if body[:2] == b"\x1f\x8b":
                body = gzip.decompress(body)
            bodies += body
        return bodies

    def samples(self):
        """The samples of the profiles in the messages of `push.v1`."""
        samples = []
        for _, _, body in self.requests:
            if body[:2] == b"\x1f\x8b":
                body = gzip.decompress(body)
            for number, series in pprof.fields(body):
                for field, raw in pprof.fields(series) if number == 1 else ():
                    if field == 2:
                        profile = dict(pprof.fields(raw))[1]
                        samples += pprof.read(profile)
        return samples


class Compat(unittest.TestCase):
    def check(self, samples, expected):
        for function, labels in expected.items():
            with self.subTest(function):
                found = [s for s in samples if f"Compatible.{function}" in s.names]
                self.assertGreater(sum(map(jvm.cpu, found)), 0.12e9)
                for sample in found:
                    ours = {k: v for k, v in sample.labels.items() if k in ("step", "more", "path")}
                    self.assertEqual(ours, labels)

    def test_a_program_with_other_imports(self):
        with Server() as server:
            ended = jvm.run("Compatible", "program", server.address, agent=native_access())
        self.assertEqual(ended.output.split(), ["true", "7", "false"])
        self.assertEqual(ended.errors,
                         "sondage: gcBeforeDump has no effect\n")
        self.check(server.samples(), {
            "runs": {"step": "run"},
            "calls": {"step": "call"},
            "scoped": {"step": "scoped"},
            "inner": {"step": "scoped", "more": "yes"},
            "constant": {"path": "/foo"},
            "none": {},
        })
        for text in (b"shop", b"stage", b"zone", b"a,b=c d%"):
            self.assertIn(text, server.body())
        password = base64.b64encode(b"me:secret").decode()
        for headers in server.headers():
            self.assertEqual(headers["authorization"], "Basic " + password)
            self.assertEqual(headers["x-scope-orgid"], "acme")

    def test_the_variables_of_the_environment(self):
        with Server() as server:
            environment = {
                "PYROSCOPE_APPLICATION_NAME": "by-environment",
                "PYROSCOPE_SERVER_ADDRESS": server.address,
                "PYROSCOPE_LABELS": "region=here, team=there",
                "PYROSCOPE_AUTH_TOKEN": "abc",
                "PYROSCOPE_HTTP_HEADERS": '{"X-Scope-OrgID": "tenant-\\u0031", "X-Other": "1"}',
                "PYROSCOPE_UPLOAD_INTERVAL": "600s",
                "PYROSCOPE_PROFILING_INTERVAL": "5ms",
                "PYROSCOPE_PROFILER_TYPE": "JFR",
                "PYROSCOPE_LOG_LEVEL": "loud",
            }
            ended = jvm.run("Compatible", "agent", agent=jvm.by_jar("compat=pyroscope"),
                            environment=environment)
        self.assertEqual(ended.output.strip(), "true")
        self.assertEqual(sorted(ended.errors.splitlines()), [
            "sondage: PYROSCOPE_LOG_LEVEL cannot be loud and is left out",
            "sondage: PYROSCOPE_PROFILER_TYPE has no effect",
            "sondage: the header X-Other is not sent",
        ])
        self.check(server.samples(), {"scoped": {}})
        for text in (b"by-environment", b"region", b"team"):
            self.assertIn(text, server.body())
        for headers in server.headers():
            self.assertEqual(headers["authorization"], "Bearer abc")
            self.assertEqual(headers["x-scope-orgid"], "tenant-1")

    def test_a_file_of_properties_below_system_properties(self):
        with Server() as server, tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "p.properties"
            file.write_text(f"pyroscope.server.address={server.address}\n"
                            "pyroscope.application.name=of-file\nPYROSCOPE_UPLOAD_INTERVAL=600s\n")
            jvm.run("Compatible", "agent", agent=jvm.by_jar("compat=pyroscope"),
                    flags=["-Dpyroscope.application.name=of-property",
                           f"-Dpyroscope.configuration.file={file}"])
        self.assertIn(b"of-property", server.body())

    def test_it_can_be_off(self):
        ended = jvm.run("Compatible", "agent", agent=jvm.by_jar("compat=pyroscope"),
                        environment={"PYROSCOPE_AGENT_ENABLED": "false"})
        self.assertEqual((ended.output.strip(), ended.errors), ("false", "sondage: not started: the "
                         "configuration says so\n"))


if __name__ == "__main__":
    unittest.main()
