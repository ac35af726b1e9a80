"""Functions that are made and gone: says `ready`, waits for a line, works, says how many it made
and at how many addresses."""
import sys
import time

clock = time.thread_time


def until(end):
    total = 0
    while clock() < end:
        for number in range(50):
            total += number
    return total


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    end = clock() + 2.5
    number = 0
    places = set()
    while clock() < end:
        number += 1
        # One in ten lives long enough to be read while it runs.
        seconds = 0.05 if number % 10 == 0 else 0.003
        text = "\n" * (number - 1) + f"def made{number}(until, end):\n    return until(end)\n"
        place = {}
        exec(compile(text, f"<made {number}>", "exec"), place)
        made = place.pop(f"made{number}")
        places.add(id(made.__code__))
        made(until, clock() + seconds)
        del made, place
    print(number, len(places), flush=True)
    sys.stdin.read()
