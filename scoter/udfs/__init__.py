"""Models as functions: artifacts, signatures, sessions, tensors, batch prediction."""
