"""The hash of a graph's content, a part of the fingerprint; `handler.model.fingerprint` adds the rest."""

import hashlib

import onnx


def content_hash(graph: bytes) -> str:
    """Hash a graph's operators and weights, but not its metadata, such as the producer's name and version."""
    model = onnx.load_from_string(graph)
    digest = hashlib.sha256()
    for opset in sorted(model.opset_import, key=lambda item: item.domain):
        digest.update(f"opset {opset.domain!r} {opset.version}\n".encode())
    for node in model.graph.node:
        digest.update(f"{node.domain!r} {node.op_type!r} {list(node.input)} {list(node.output)}\n".encode())
        for attribute in sorted(node.attribute, key=lambda item: item.name):
            digest.update(attribute.SerializeToString(deterministic=True))
    for tensor in sorted(model.graph.initializer, key=lambda item: item.name):
        digest.update(f"{tensor.name!r} {tensor.data_type} {list(tensor.dims)}\n".encode())
        digest.update(onnx.numpy_helper.to_array(tensor).tobytes())
    # Some exporters store weights here.
    for other in (*sorted(model.functions, key=lambda item: item.name), *model.graph.sparse_initializer):
        digest.update(other.SerializeToString(deterministic=True))
    for value in (*model.graph.input, *model.graph.output):
        digest.update(value.name.encode())
    return digest.hexdigest()
