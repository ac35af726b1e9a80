"""Labels: nested, restored, carried along."""

import asyncio
import concurrent.futures
import contextvars
import inspect
import threading
import unittest

import sondage


class Scopes(unittest.TestCase):
    def test_labels_nest_and_what_was_before_is_restored(self):
        with sondage.labels(route="/pay", tenant="acme"):
            with sondage.labels({"route": "/refund", "http.method": "POST"}):
                expected = {"route": "/refund", "tenant": "acme", "http.method": "POST"}
                self.assertEqual(sondage.current_labels(), expected)
            self.assertEqual(sondage.current_labels(), {"route": "/pay", "tenant": "acme"})
        self.assertEqual(sondage.current_labels(), {})

    def test_labels_are_restored_when_an_exception_leaves_the_block(self):
        with self.assertRaisesRegex(KeyError, "gone"):
            with sondage.labels(route="/pay"):
                raise KeyError("gone")
        self.assertEqual(sondage.current_labels(), {})

    def test_one_object_may_be_entered_again_inside_itself(self):
        labels = sondage.labels(depth="1")
        with labels, labels:
            self.assertEqual(sondage.current_labels(), {"depth": "1"})
        self.assertEqual(sondage.current_labels(), {})

    def test_one_object_gives_each_parent_its_own_child(self):
        inner = sondage.labels(step="1")
        for route in ("/a", "/b", "/a"):
            with sondage.labels(route=route), inner:
                self.assertEqual(sondage.current_labels(), {"route": route, "step": "1"})

    def test_values_are_what_str_makes_of_them_and_keys_are_str(self):
        with sondage.labels(status=200, ok=True):
            self.assertEqual(sondage.current_labels(), {"status": "200", "ok": "True"})
        with self.assertRaisesRegex(TypeError, "str keys"):
            sondage.labels({1: "one"})
        with self.assertRaises(TypeError):
            sondage.labels(["route"])

    def test_single_labels_are_set_and_taken_out(self):
        def work():
            sondage.set_label("job", "import")
            sondage.set_label("rows", 3)
            self.assertEqual(sondage.current_labels(), {"job": "import", "rows": "3"})
            sondage.clear_label("job")
            sondage.clear_label("never")
            self.assertEqual(sondage.current_labels(), {"rows": "3"})

        contextvars.Context().run(work)
        self.assertEqual(sondage.current_labels(), {})

    def test_ids_of_spans_go_beside_labels_and_are_taken_back_by_their_token(self):
        from sondage import _sondage

        trace = 0x4BF92F3577B34DA6A3CE929D0E0E4736
        with sondage.labels(route="/pay"):
            token = _sondage.enter_span(0x00F067AA0BA902B7, trace)
            expected = {"route": "/pay", "span_id": "00f067aa0ba902b7", "trace_id": f"{trace:032x}"}
            self.assertEqual(sondage.current_labels(), expected)
            sondage.clear_label("route")
            self.assertNotIn("route", sondage.current_labels())
            self.assertTrue(_sondage.leave(token))
            self.assertEqual(sondage.current_labels(), {"route": "/pay"})
            elsewhere = contextvars.copy_context().run(_sondage.enter_span, 1, 0)
            self.assertFalse(_sondage.leave(elsewhere))

    def test_the_variable_holds_forty_bytes_of_the_agreed_form(self):
        with sondage.labels(route="/pay"):
            values = [
                value
                for variable, value in contextvars.copy_context().items()
                if variable.name == "sondage.labels"
            ]
        self.assertEqual(len(values), 1)
        self.assertIs(type(values[0]), bytes)
        self.assertEqual((len(values[0]), values[0][:8]), (40, b"SONDAGE1"))


class Decorated(unittest.TestCase):
    def test_a_function_runs_under_its_labels_and_keeps_its_name(self):
        @sondage.labels(job="sum")
        def add(a, *, b):
            """Adds."""
            return a + b, sondage.current_labels()

        self.assertEqual(add(1, b=2), (3, {"job": "sum"}))
        self.assertEqual((add.__name__, add.__doc__), ("add", "Adds."))
        self.assertEqual(sondage.current_labels(), {})

    def test_a_method_gets_its_object(self):
        class Counter:
            @sondage.labels(job="count")
            def count(self):
                return self, sondage.current_labels()

        counter = Counter()
        self.assertEqual(counter.count(), (counter, {"job": "count"}))

    def test_a_coroutine_function_stays_one_and_keeps_labels_across_await(self):
        @sondage.labels(job="fetch")
        async def fetch():
            await asyncio.sleep(0)
            return sondage.current_labels()

        self.assertTrue(inspect.iscoroutinefunction(fetch))
        self.assertEqual(asyncio.run(fetch()), {"job": "fetch"})

    def test_a_generator_has_its_labels_in_each_step_and_its_consumer_has_not(self):
        closed = []

        @sondage.labels(job="rows")
        def rows():
            try:
                got = yield sondage.current_labels()
                try:
                    yield got, sondage.current_labels()
                except ValueError:
                    yield "caught", sondage.current_labels()
                return "end"
            finally:
                closed.append(sondage.current_labels())

        steps = rows()
        self.assertEqual(next(steps), {"job": "rows"})
        self.assertEqual(sondage.current_labels(), {})
        self.assertEqual(steps.send(5), (5, {"job": "rows"}))
        self.assertEqual(steps.throw(ValueError()), ("caught", {"job": "rows"}))
        with self.assertRaises(StopIteration) as stopped:
            next(steps)
        self.assertEqual(stopped.exception.value, "end")
        early = rows()
        next(early)
        early.close()
        self.assertEqual(closed, [{"job": "rows"}] * 2)
        self.assertEqual(sondage.current_labels(), {})

    def test_an_asynchronous_generator_has_its_labels_in_each_step(self):
        @sondage.labels(job="stream")
        async def stream():
            yield sondage.current_labels()
            await asyncio.sleep(0)
            yield sondage.current_labels()

        async def consume():
            return [(item, sondage.current_labels()) async for item in stream()]

        self.assertEqual(asyncio.run(consume()), [({"job": "stream"}, {})] * 2)


class Contexts(unittest.TestCase):
    def test_interleaved_tasks_that_share_one_object_keep_their_own_labels(self):
        shared = sondage.labels(shared="yes")

        async def work(number):
            with sondage.labels(task_number=number):
                for _ in range(20):
                    with shared:
                        await asyncio.sleep(0)
                        expected = {"task_number": str(number), "shared": "yes"}
                        self.assertEqual(sondage.current_labels(), expected)
                    self.assertEqual(sondage.current_labels(), {"task_number": str(number)})

        async def main():
            await asyncio.gather(*map(work, range(10)))
            self.assertEqual(sondage.current_labels(), {})

        asyncio.run(main())

    def test_tasks_and_to_thread_take_the_labels_of_who_starts_them(self):
        async def main():
            with sondage.labels(route="/pay"):
                task = asyncio.ensure_future(read())
                threaded = await asyncio.to_thread(sondage.current_labels)
            return await task, threaded

        async def read():
            await asyncio.sleep(0)
            return sondage.current_labels()

        self.assertEqual(asyncio.run(main()), ({"route": "/pay"},) * 2)

    def test_a_propagated_function_takes_its_labels_into_a_thread_and_leaves_none_there(self):
        seen = []
        with sondage.labels(route="/pay"):
            read = sondage.propagate(lambda: seen.append(sondage.current_labels()))

        def work():
            read()
            seen.append(sondage.current_labels())
            with self.assertRaises(ZeroDivisionError):
                fails()
            seen.append(sondage.current_labels())

        with sondage.labels(route="/fail"):
            fails = sondage.propagate(lambda: 1 / 0)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        self.assertEqual(seen, [{"route": "/pay"}, {}, {}])

    def test_without_labels_a_function_is_not_wrapped(self):
        self.assertIs(sondage.propagate(len), len)


class Executors(unittest.TestCase):
    def tearDown(self):
        sondage.stop()

    def test_executors_take_labels_along_while_a_profiler_runs(self):
        submit = concurrent.futures.ThreadPoolExecutor.submit
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            with sondage.labels(route="/pay"):
                self.assertEqual(pool.submit(sondage.current_labels).result(), {})
                sondage.start(push=[])
                self.assertEqual(pool.submit(sondage.current_labels).result(), {"route": "/pay"})
                mapped = list(pool.map(lambda _: sondage.current_labels(), range(3)))
                self.assertEqual(mapped, [{"route": "/pay"}] * 3)
            self.assertEqual(pool.submit(sondage.current_labels).result(), {})
        sondage.stop()
        self.assertIs(concurrent.futures.ThreadPoolExecutor.submit, submit)

    def test_executors_are_left_alone_where_that_is_asked_for(self):
        submit = concurrent.futures.ThreadPoolExecutor.submit
        sondage.start(push=[], propagate_executors=False)
        self.assertIs(concurrent.futures.ThreadPoolExecutor.submit, submit)

    def test_run_in_executor_takes_labels_along(self):
        sondage.start(push=[])

        async def main():
            with sondage.labels(route="/pay"):
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(None, sondage.current_labels)

        self.assertEqual(asyncio.run(main()), {"route": "/pay"})

    def test_tasks_are_labeled_with_their_name_or_their_coroutine_s(self):
        sondage.start(push=[], task_names=True)

        async def read():
            return sondage.current_labels()

        async def main():
            named = asyncio.create_task(read(), name="poller")
            unnamed = asyncio.create_task(read())
            self.assertNotEqual(sondage.current_labels().get("task"), "poller")
            return await named, await unnamed

        named, unnamed = asyncio.run(main())
        self.assertEqual(named, {"task": "poller"})
        self.assertTrue(unnamed["task"].endswith("read"), unnamed)


if __name__ == "__main__":
    unittest.main()
