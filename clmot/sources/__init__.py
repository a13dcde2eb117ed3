"""Where archives come from: drawn here, the official site, a mirror, or the user's disk."""
