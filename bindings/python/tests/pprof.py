"""Reads pprof files: enough to judge what a profile says, written without the code under test."""

import dataclasses
import gzip


@dataclasses.dataclass
class Frame:
    """A function in a stack. `line` is where it was, `start_line` where it begins."""

    name: str
    file: str
    line: int
    start_line: int


@dataclasses.dataclass
class Sample:
    """One stack, leaf first, with its values by type and its labels."""

    frames: list[Frame]
    values: dict[str, int]
    labels: dict[str, str]

    @property
    def names(self):
        return [frame.name for frame in self.frames]


def read(data):
    """The samples of a profile, compressed or not."""
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    messages = {number: [] for number in range(1, 16)}
    for number, value in fields(data):
        messages.setdefault(number, []).append(value)
    strings = [value.decode("utf-8", "replace") for value in messages[6]]
    types = [strings[dict(fields(value)).get(1, 0)] for value in messages[1]]
    functions = {one.get(1, 0): one for one in (dict(fields(value)) for value in messages[5])}
    locations = {}
    for value in messages[4]:
        location = list(fields(value))
        lines = [dict(fields(line)) for number, line in location if number == 4]
        locations[dict(location)[1]] = [frame(line, functions, strings) for line in lines]
    return [sample(value, types, locations, strings) for value in messages[2]]


def frame(line, functions, strings):
    function = functions.get(line.get(1, 0), {})
    text = lambda number: strings[function.get(number, 0)]  # noqa: E731
    return Frame(text(2), text(4), line.get(2, 0), function.get(5, 0))


def sample(message, types, locations, strings):
    stack, values, labels = [], [], {}
    for number, value in fields(message):
        if number == 1:
            stack += numbers(value)
        elif number == 2:
            values += numbers(value)
        elif number == 3:
            label = dict(fields(value))
            labels[strings[label[1]]] = strings[label.get(2, 0)] or label.get(3, 0)
    frames = [one for location in stack for one in locations.get(location, [])]
    return Sample(frames, dict(zip(types, values)), labels)


def fields(message):
    """The fields of a protocol buffer: (number, value), where a value is an int or bytes."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(message, at)
        elif kind == 2:
            length, at = varint(message, at)
            value, at = message[at : at + length], at + length
        else:
            size = {1: 8, 5: 4}[kind]
            value, at = message[at : at + size], at + size
        yield key >> 3, value


def varint(message, at):
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def numbers(value):
    """A repeated integer field, packed or not."""
    if isinstance(value, int):
        return [value]
    result, at = [], 0
    while at < len(value):
        number, at = varint(value, at)
        result.append(number)
    return result
