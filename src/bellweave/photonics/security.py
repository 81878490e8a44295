"""What the security of a link's rounds is conditional on: the sentences that its secret blocks carry."""

from bellweave.photonics.params import Arm, OpticalLink, Polarisation


def assumptions(link: OpticalLink) -> tuple[str, ...]:
    """Return what a proof for this link's rounds assumes about photons and detectors, one sentence each."""
    found = ["The pairs' state is unknown, but each node's bases are mutually unbiased and its laboratory is closed."]
    ends = (("Alice", link.alice), ("Bob", link.bob))
    if any(isinstance(a := arm.node.analyser, Polarisation) and a.basis_choice == "keyed" for _, arm in ends):
        found.append(
            "The bases come from a pseudo-random generator with a shared key: security is computational, not "
            "information-theoretic, while Eve has photons that she can store."
        )
    found += [
        f"{name}'s detectors differ in efficiency by up to {100 * spread:.0f} %, so the chance of a click depends on "
        "outcome or basis; no proof used here covers that."
        for name, arm in ends
        if (spread := _spread(arm)) > 0.0
    ]
    if all(_spread(arm) == 0.0 for _, arm in ends):
        found.append("The chance of a click does not depend on the basis (fair sampling).")
    found += [
        f"{name} discards double clicks, which lets Eve choose which rounds count."
        for name, arm in ends
        if arm.node.analyser.double_click == "discard"
    ]
    return tuple(found)


def _spread(arm: Arm) -> float:
    """Return by how much, relative to the best, the efficiencies of a node's detectors differ."""
    each = arm.node.detector.efficiencies
    return 1.0 - min(each) / max(each) if each and max(each) > 0.0 else 0.0
