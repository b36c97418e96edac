"""How commands tell numbers of things."""


def counted(number: int, thing: str) -> str:
    """Return how many of a thing there are: `1 row`, `2,345 rows`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
