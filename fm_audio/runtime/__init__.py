"""Models as ONNX files: what each is taken apart into, how parts are checked and written, and how onnxruntime answers for them.

A task or a decoder has a file here of its own name, whose `parts` says both. See docs/onnx.md.
"""
