"""Batches, import, dispatch, assignments, submissions, results."""
