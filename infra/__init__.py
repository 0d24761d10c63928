"""The deployment: one CDK app, a stateful and a service stack, and one construct per feature."""
