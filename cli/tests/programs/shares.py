"""Three in four parts of its time in heavy, one in light, until it is killed."""


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
    heavy(60_000)
    light(20_000)


print("started", flush=True)
while True:
    work()
