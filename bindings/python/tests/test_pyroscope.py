"""The interface of pyroscope-io."""

import http.server
import threading
import unittest
import warnings

import sondage
import sondage.compat.pyroscope as pyroscope
from tests.programs import BURN

exec(BURN)


class Server:
    """Keeps the paths and headers of what it is sent."""

    def __enter__(self):
        received = self.received = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                received.append((self.path, dict(self.headers)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Compatible(unittest.TestCase):
    def tearDown(self):
        sondage.stop()

    def test_configure_sends_where_pyroscope_io_would_with_its_credentials(self):
        with Server() as server, warnings.catch_warnings():
            warnings.simplefilter("error")
            started = pyroscope.configure(
                application_name="shop",
                server_address=server.address,
                sample_rate=250,
                tags={"region": "eu"},
                tenant_id="acme",
                basic_auth_username="user",
                basic_auth_password="pass:word",
                oncpu=True,
                gil_only=True,
                enable_logging=False,
            )
            self.assertTrue(started)
            burn()
            self.assertTrue(pyroscope.shutdown())
            self.assertFalse(sondage.is_running())
            headers = {name.lower(): value for name, value in server.received[0][1].items()}
        self.assertEqual(headers["authorization"], "Basic dXNlcjpwYXNzOndvcmQ=")
        self.assertEqual(headers["x-scope-orgid"], "acme")

    def test_what_has_no_effect_is_taken_with_a_warning_that_names_it(self):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            pyroscope.configure(
                application_name="shop",
                server_address="http://127.0.0.1:1",
                line_no=2,
                detect_subprocesses=True,
                http_headers={"X-Other": "1", "Authorization": "Bearer abc"},
            )
        messages = " ".join(str(warning.message) for warning in told)
        for name in ("line_no", "detect_subprocesses", "X-Other"):
            self.assertIn(name, messages)
        self.assertNotIn("Bearer", messages)
        self.assertEqual({warning.filename for warning in told}, {__file__})

    def test_a_wrong_setting_does_not_fail_the_program(self):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            self.assertFalse(pyroscope.configure(application_name="shop", sample_rate=0))
        self.assertIn("hz is", str(told[-1].message))

    def test_tags_are_labels(self):
        with pyroscope.tag_wrapper({"route": "/pay"}):
            self.assertEqual(sondage.current_labels(), {"route": "/pay"})
            pyroscope.add_thread_tag("user", 1)
            self.assertFalse(pyroscope.remove_thread_tag("user", 2))
            self.assertTrue(pyroscope.remove_thread_tag("user", 1))
            self.assertEqual(sondage.current_labels(), {"route": "/pay"})
        self.assertEqual(sondage.current_labels(), {})


if __name__ == "__main__":
    unittest.main()
