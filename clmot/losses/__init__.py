"""What training minimises: detection losses, the within-frame contrast, and their weighting."""
