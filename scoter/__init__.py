"""Scoter: SQL over Apache Iceberg with ONNX models inside it, served over Arrow Flight SQL."""

__version__ = "0.1.0"
