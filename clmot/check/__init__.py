"""What data hold and what is wrong with them, before the pipeline has to refuse them."""
