"""x"""


def distil() -> None:
    """X"""
