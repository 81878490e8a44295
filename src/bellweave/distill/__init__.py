"""Distillation: from the matched rounds of two parties to secret blocks, as dialogues that never peek."""
