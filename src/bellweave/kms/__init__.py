"""Key management: what is minted into keys and how they are kept and delivered."""
