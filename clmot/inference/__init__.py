"""A trained model that tracks images."""
