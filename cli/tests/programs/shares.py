"""Three in four parts of its time in heavy, one in light, until it is killed."""
import random


def heavy(count):
    total = 0
    for number in range(count):
        total += number * number
    return total


def light(count):
    total = 0
    for number in range(count):
        total += number * number
    return total


def work():
    # At random: rounds of one length could keep step with the samples.
    part = random.randint(10_000, 30_000)
    heavy(3 * part)
    light(part)


print("started", flush=True)
while True:
    work()
