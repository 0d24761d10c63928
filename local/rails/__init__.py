"""Simulated providers: each speaks its rail's contract on loopback, keeps its books in memory, and can misbehave."""
