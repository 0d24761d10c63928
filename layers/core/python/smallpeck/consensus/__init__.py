"""What the answers to a task amount to. Pure; the standard library only."""
