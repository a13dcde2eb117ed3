"""The one-shot network: backbone, neck, heads, deformable convolution, decoding and checkpoints."""
