"""Measure 12 MP JPEG to tensor, and the cosine of the vectors of both tensors with a model with real weights."""

from pathlib import Path

import onnxruntime as ort

from handler.model.encoder import load_encoder
from handler.model.self_check import cosine_of
from handler.model.spec import load_spec
from tests.bench.figures import Figure, Findings, compared
from tests.bench.naive import app as naive
from tests.bench.setting import Setting, large_picture
from tests.bench.sides import with_dropvec as dropvec
from tests.bench.timed import alternated
from tests.bench.world import World


def measure(setting: Setting, _world: World) -> Findings:
    """Measure times with the preprocessing of the timed model, and cosines with the embedded model."""
    spec = load_spec(Path(setting.bundle))
    data = large_picture(setting).read_bytes()
    took = alternated(
        lambda: naive.preprocess(naive.load_image(data)), lambda: dropvec.tensor(data, spec), 2 * setting.runs
    )
    cosines = _cosines(setting)
    lowest = min(cosines.values())
    figures = [
        compared("12 MP JPEG to tensor", "ms", *took),
        Figure(
            "cosine of the vectors of both, lowest",
            "",
            None,
            lowest,
            note=f"{len(cosines)} pictures of 12 MP, embedded model; mean {sum(cosines.values()) / len(cosines):.6f}",
        ),
    ]
    return Findings(figures, raw={"cosines": cosines})


def _cosines(setting: Setting) -> dict[str, float]:
    """Cosines of the vectors of naive's tensor and ours, both from the original model."""
    encoder = load_encoder(Path(setting.embedded))
    plain = ort.InferenceSession(str(encoder.bundle / encoder.spec.graph.name))
    kept = naive.config
    naive.config = naive.ModelConfig.model_validate_json((encoder.bundle / "model.json").read_text("utf-8"))
    found = {}
    try:
        for path in sorted(Path(setting.pictures).glob("quality-*.jpg")):
            data = path.read_bytes()
            tensors = naive.preprocess(naive.load_image(data)), dropvec.tensor(data, encoder.spec)
            vectors = [plain.run([encoder.spec.output_name], {encoder.spec.input_name: one})[0][0] for one in tensors]
            found[path.name] = cosine_of(vectors[0], vectors[1])
    finally:
        naive.config = kept
    return found
