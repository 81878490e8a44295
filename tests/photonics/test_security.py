"""What a block's security statement must not leave out."""

import msgspec

from bellweave.photonics.params import Arm, CwSource, Detector, Node, OpticalLink, Polarisation
from bellweave.photonics.security import assumptions


def link(**node: object) -> OpticalLink:
    arm = Arm(node=Node(**node), loss_db={})  # type: ignore[arg-type]
    return OpticalLink(name="a-b", source=CwSource(pair_rate_hz=1.0), alice=arm, bob=arm, window_ps=1000, block_s=1.0)


def test_a_keyed_choice_of_bases_is_called_computational() -> None:
    plain, keyed = link(), link(analyser=Polarisation(basis_choice="keyed"))

    assert not any("computational" in sentence for sentence in assumptions(plain))
    assert any("computational" in sentence for sentence in assumptions(keyed))


def test_unequal_detectors_are_named_with_their_ratio_and_whose_they_are() -> None:
    uneven = Arm(node=Node(detector=Detector(efficiencies=(0.5, 0.5, 0.5, 0.25))), loss_db={})

    found = assumptions(msgspec.structs.replace(link(), bob=uneven))

    assert any(sentence.startswith("Bob's detectors differ in efficiency by up to 50 %") for sentence in found)
    assert not any("fair sampling" in sentence for sentence in found)


def test_discarded_double_clicks_are_said() -> None:
    assert any("double clicks" in s for s in assumptions(link(analyser=Polarisation(double_click="discard"))))
