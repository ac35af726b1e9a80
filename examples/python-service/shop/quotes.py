"""Prices in several currencies, computed by tasks that take turns on one thread."""

import asyncio

_RATES = {"EUR": 1.0, "CHF": 0.93, "SEK": 11.4, "PLN": 4.3}


async def quote(product: int) -> dict[str, float]:
    """The price of a product in each currency; one task each."""
    prices = await asyncio.gather(*(price(product, rate) for rate in _RATES.values()))
    return dict(zip(_RATES, prices))


async def price(product: int, rate: float) -> float:
    """A price after a year of daily discounts; lets the other tasks in every month."""
    amount = 100.0 + product
    for _ in range(12):
        amount = month_of_discounts(amount)
        await asyncio.sleep(0)
    return round(amount * rate, 2)


def month_of_discounts(amount: float) -> float:
    """Thirty days, each of which compares fifty offers."""
    for day in range(30):
        amount = min(amount * (1 - offer / 1e6) for offer in range(day, day + 50))
    return amount
