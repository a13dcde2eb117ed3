"""Our models in other people's runtimes: ONNX files with the pre-processing inside."""
