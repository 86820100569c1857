"""What is shipped: models as ONNX files, in float32 and int8, decoded and timed by ONNX Runtime."""

FILE, FOLDER = "onnx.json", "files"
"""What says which files there are, and the folder beside it that they are in."""
