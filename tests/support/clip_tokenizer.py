"""A `tokenizer.json` like those of CLIP models, made with the `tokenizers` library from CLIP's vocabulary."""

from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from tests.support import clip_bpe

START, END = "<|startoftext|>", "<|endoftext|>"
SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def clip_tokenizer() -> Tokenizer:
    """The same parts as the output of transformers' converter for CLIP."""
    vocabulary = clip_bpe.vocabulary() | {START: clip_bpe.START, END: clip_bpe.END}
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=list(clip_bpe.merges()),
            unk_token=END,
            continuing_subword_prefix="",
            end_of_word_suffix=clip_bpe.LAST,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.post_processor = processors.RobertaProcessing(
        (END, clip_bpe.END), (START, clip_bpe.START), trim_offsets=False, add_prefix_space=False
    )
    tokenizer.add_special_tokens([AddedToken(START, normalized=True), AddedToken(END, normalized=False)])
    return tokenizer


def write_tokenizer(path: Path) -> Path:
    clip_tokenizer().save(str(path))
    return path
