"""Training data and models."""
