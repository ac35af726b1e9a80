"""A search that forgives typing errors: pure Python, and so under the interpreter's lock."""

import itertools

_ADJECTIVES = "amber brass coral dusty early faded green hollow ivory jade".split()
_NOUNS = "anchor basket candle drawer easel funnel goblet hammer inkwell jacket".split()
_SIZES = "small medium large".split()

CATALOGUE = [" ".join(words) for words in itertools.product(_ADJECTIVES, _NOUNS, _SIZES)]


def find(query: str, limit: int = 5) -> list[str]:
    """The products whose names are nearest to the query."""
    words = query.lower().split()
    ranked = sorted(CATALOGUE, key=lambda name: distance_to_product(words, name))
    return ranked[:limit]


def distance_to_product(words: list[str], name: str) -> int:
    """The sum of each word's distance to the nearest word of a name."""
    candidates = name.split()
    return sum(min(edit_distance(word, candidate) for candidate in candidates) for word in words)


def edit_distance(left: str, right: str) -> int:
    """How many letters have to be typed, deleted or changed to get from one word to the other."""
    previous = list(range(len(right) + 1))
    for row, a in enumerate(left, 1):
        current = [row]
        for column, b in enumerate(right, 1):
            change = previous[column - 1] + (a != b)
            current.append(min(previous[column] + 1, current[-1] + 1, change))
        previous = current
    return previous[-1]
