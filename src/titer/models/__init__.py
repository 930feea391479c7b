"""Models: how any model is asked."""
