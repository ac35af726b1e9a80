"""Figures and rows of the tables."""

import collections
import random
import statistics

# Student's t of 95 % for 1 to 30 degrees of freedom.
STUDENT = [
    12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145,
    2.131, 2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048,
    2.045, 2.042,
]


def spread(values, digits=2, unit=""):
    """The median, in brackets the lowest and the highest."""
    values = list(values)
    if not values:
        return "–"
    middle, low, high = (f"{value:.{digits}f}{unit}"
                         for value in (statistics.median(values), min(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({low}–{high})"


def interval(values, digits=3):
    """The mean and its 95 % interval."""
    values = list(values)
    if not values:
        return "–"
    mean = statistics.mean(values)
    if len(values) == 1:
        return f"{mean:.{digits}f}"
    student = STUDENT[len(values) - 2] if len(values) - 2 < len(STUDENT) else 1.96
    half = student * statistics.stdev(values) / len(values) ** 0.5
    return f"{mean:.{digits}f} ({mean - half:.{digits}f}…{mean + half:.{digits}f})"


def shares(values, names):
    """The share of each name in the sum of all these."""
    total = sum(values.get(name, 0) for name in names)
    return {name: values.get(name, 0) / total if total else 0.0 for name in names}


def errors(told, truth):
    """By how much the share of each name is told wrongly, as a share with its sign."""
    told, true = shares(told, truth), shares(truth, truth)
    return {name: told[name] - true[name] for name in truth}


def largest(errors):
    """The name that is told most wrongly, and its error."""
    return max(errors.items(), key=lambda one: abs(one[1]))


def noise(truth, count):
    """The median of the largest errors of so many samples drawn at random from the truth."""
    if not count:
        return 0.0
    names, weights = zip(*truth.items())
    draws = random.Random(1)
    return statistics.median(
        abs(largest(errors(collections.Counter(draws.choices(names, weights, k=count)), truth))[1])
        for _ in range(200))


def percent(share, digits=1):
    return f"{share * 100:.{digits}f} %"


def row(*cells):
    print(f"| {' | '.join(cells)} |", flush=True)


def head(*cells):
    """The head of a table whose rows begin with the version of Java, the engine and n."""
    row("Java", "", "n", *cells)
    row(*["---"] * (len(cells) + 3))
