"""The training loop and what it minimizes."""
