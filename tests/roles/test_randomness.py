"""Where each party draws from, and who else can."""

import pytest

from bellweave import rng
from bellweave.roles.randomness import Randomness, Secret, Seeded

SHARED = bytes(range(32))


def secret(own: int, run: str = "run") -> Secret:
    return Secret(run, bytes([own]) * 32, {"a-b": SHARED})


def everything(randomness: Randomness, block: str = "a-b/run/0") -> list[bytes]:
    return [
        randomness.photons().to_bytes(32, "big"),
        randomness.drift("a").bytes(32),
        randomness.clicks(block, "alice").bytes(32),
        randomness.clicks(block, "bob").bytes(32),
        randomness.protocol(block, "alice").bytes(32),
        randomness.protocol(block, "bob").bytes(32),
        randomness.authentication("a-b", block).bytes(32),
    ]


def test_a_seed_gives_the_named_streams_that_the_simulation_has_always_had() -> None:
    seeded = Seeded(7)

    assert seeded.run == "7"
    assert seeded.photons() == 7
    assert seeded.drift("a").bytes(8) == rng.stream(7, "node", "a", "drift").bytes(8)
    assert seeded.clicks("x/7/0", "bob").bytes(8) == rng.stream(7, "x/7/0", "bob", "clicks").bytes(8)
    assert seeded.protocol("x/7/0", "alice").bytes(8) == rng.stream(7, "x/7/0", "alice", "protocol").bytes(8)
    assert seeded.authentication("x", "x/7/0").bytes(8) == rng.stream(7, "x/7/0", "authentication").bytes(8)


@pytest.mark.parametrize("randomness", [Seeded(1), secret(1)])
def test_every_draw_has_a_name_of_its_own_and_comes_again_under_it(randomness: Randomness) -> None:
    one, other = everything(randomness), everything(randomness, "a-b/run/1")

    assert len(set(one[1:])) == 6
    assert everything(randomness) == one
    assert not set(one[2:]) & set(other[2:])


def test_two_nodes_have_nothing_in_common_but_the_secret_of_their_link() -> None:
    one, other = everything(secret(1)), everything(secret(2))

    assert [mine == theirs for mine, theirs in zip(one, other, strict=True)] == [False] * 6 + [True]


def test_two_runs_with_the_same_secrets_have_nothing_in_common() -> None:
    assert not set(everything(secret(1))) & set(everything(secret(1, "another")))


def test_entropy_goes_on_and_never_comes_again() -> None:
    entropy = secret(1).protocol("a-b/run/0", "alice")

    assert len({entropy.bytes(16) for _ in range(100)}) == 100


def test_who_is_no_end_of_a_link_can_not_draw_its_keys() -> None:
    with pytest.raises(KeyError):
        secret(1).authentication("b-c", "b-c/run/0")


def test_short_secrets_are_refused_and_none_is_shown() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes, not 31"):
        Secret("run", bytes(31))
    with pytest.raises(ValueError, match="not 8"):
        Secret("run", bytes(32), {"a-b": bytes(8)})
    assert repr(secret(1)) == "Secret(run='run')"
