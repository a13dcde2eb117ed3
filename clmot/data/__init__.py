"""Where frames and boxes come from and what training makes of them: sources, stripping, views, targets."""
