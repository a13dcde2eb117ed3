"""Necks: from a backbone's four strides to the one map at stride 4 that the heads read."""
