"""Networks: which pairs of users share photons when, and over which paths key travels. It decides; the drivers act."""
