"""One construct per feature, and the few that they are all made of: a function, a workflow, an alarm."""
