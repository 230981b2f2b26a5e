"""Measure warm inference: the prepared graph against onnxruntime's default with the original file."""

from pathlib import Path

import numpy as np
import onnxruntime as ort

from handler.model.encoder import load_encoder
from handler.model.self_check import cosine_of
from tests.bench.figures import Figure, Findings, compared
from tests.bench.setting import Setting
from tests.bench.timed import alternated
from tests.bench.world import World


def measure(setting: Setting, _world: World) -> Findings:
    """Compare with onnxruntime's default with one thread for each vCPU, and with the unmodified default.

    The unmodified default starts a spinning thread for each core of the machine, which is slow on one vCPU.
    """
    encoder = load_encoder(Path(setting.bundle))
    model, size = str(encoder.bundle / encoder.spec.graph.name), encoder.spec.preprocess.input_size
    tensor = np.random.default_rng(0).random((1, 3, size, size), dtype=np.float32)
    names, fed = [encoder.spec.output_name], {encoder.spec.input_name: tensor}
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    one_thread, default = ort.InferenceSession(model, options), ort.InferenceSession(model)
    same = cosine_of(one_thread.run(names, fed)[0][0], encoder.embed(tensor))
    against_one_thread = alternated(lambda: one_thread.run(names, fed), lambda: encoder.embed(tensor), 2 * setting.runs)
    against_default = alternated(lambda: default.run(names, fed), lambda: encoder.embed(tensor), setting.runs)
    note = f"the default with one thread; graph {encoder.graph}, cosine {same:.7f}"
    figures: list[Figure] = [
        compared("warm inference, to onnxruntime's default", "ms", *against_one_thread, note),
        compared(
            "warm inference, to the default with the threads it takes", "ms", *against_default, "one core granted"
        ),
    ]
    return Findings(figures)
