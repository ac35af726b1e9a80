"""The tables, by name. Each has the engines, runtimes and rounds that it takes by default."""

import dataclasses

from . import cost, shares, start, virtual

TABLES = {"shares": shares, "virtual": virtual, "cost": cost, "start": start}


@dataclasses.dataclass
class Context:
    """What a table is made of. Options are those of the command line."""

    sink: object
    runtimes: list
    engines: list
    rounds: int
    options: dict
