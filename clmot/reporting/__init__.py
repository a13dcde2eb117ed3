"""What people look at: runs in MLflow, frames with their tracks drawn in."""
