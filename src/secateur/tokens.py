"""Token lists: characters, or SentencePiece byte-pair pieces, in ESPnet's order.

A token list has `<blank>` first (the blank of CTC and RNN-T is index 0), then `<unk>`, the units, and `<sos/eos>` last.
Characters write a space as `<space>`; pieces write it as a leading `▁`.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from secateur.errors import SecateurError
from secateur.files import write_text, written_aside

BLANK, UNKNOWN, SPACE, SOS_EOS = "<blank>", "<unk>", "<space>", "<sos/eos>"
PIECES_FILE = "bpe.model"


class Tokenizer:
    """Turn normalised text into token ids and back.

    Args:
        tokens: the token list.
        pieces: a loaded `sentencepiece.SentencePieceProcessor`, or None for characters.
    """

    def __init__(self, tokens: Sequence[str], pieces=None):
        if tokens[0] != BLANK or tokens[-1] != SOS_EOS or UNKNOWN not in tokens:
            raise SecateurError(f"token list must start with {BLANK}, end with {SOS_EOS} and contain {UNKNOWN}")
        self.tokens = list(tokens)
        self._ids = {token: index for index, token in enumerate(tokens)}
        self._pieces = pieces

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """Load `tokens.txt`, and `bpe.model` beside it when there is one."""
        path = Path(path)
        try:
            tokens = path.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError as error:
            raise SecateurError(f"{path}: no such token list") from error
        pieces = None
        if (path.parent / PIECES_FILE).exists():
            import sentencepiece

            pieces = sentencepiece.SentencePieceProcessor(model_file=str(path.parent / PIECES_FILE))
        return cls([token for token in tokens if token], pieces)

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`; a unit outside the list becomes `<unk>`."""
        if self._pieces is not None:
            units = self._pieces.encode(text, out_type=str)
        else:
            units = [SPACE if character == " " else character for character in text]
        unknown = self._ids[UNKNOWN]
        return [self._ids.get(unit, unknown) for unit in units]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of token ids, with single spaces between words; blank and sos/eos are left out."""
        units = [self.tokens[index] for index in ids]
        units = [unit for unit in units if unit not in (BLANK, SOS_EOS)]
        text = "".join(" " if unit == SPACE else unit for unit in units).replace("▁", " ")
        return " ".join(text.split())


def train_characters(texts: Iterable[str]) -> list[str]:
    """The token list of all characters in `texts`, in code-point order."""
    characters = {character for text in texts for character in unicodedata.normalize("NFC", text)} - {" "}
    if not characters:
        raise SecateurError("the training text is empty: there is nothing to make a token list of")
    return [BLANK, UNKNOWN, SPACE, *sorted(characters), SOS_EOS]


def write_tokens(folder: str | Path, texts: Sequence[str], kind: str = "char", size: int = 500) -> None:
    """Make a token list from the training text and write `tokens.txt` (and `bpe.model`) into `folder`.

    Args:
        kind: `char` or `bpe`.
        size: number of byte-pair pieces, the special tokens excluded.
    """
    folder = Path(folder)
    if kind == "char":
        tokens = train_characters(texts)
    else:
        import sentencepiece

        with written_aside(folder / PIECES_FILE) as aside, open(aside, "wb") as stream:
            try:
                sentencepiece.SentencePieceTrainer.train(
                    sentence_iterator=iter(texts),
                    model_writer=stream,
                    vocab_size=size + 1,
                    model_type="bpe",
                    character_coverage=1.0,
                    bos_id=-1,
                    eos_id=-1,
                    unk_id=0,
                    normalization_rule_name="identity",
                    num_threads=1,
                    minloglevel=1,
                )
            except RuntimeError as error:
                raise SecateurError(f"tokens.size: {size} pieces cannot be learned from this text ({error})") from error
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / PIECES_FILE))
        tokens = [BLANK, UNKNOWN, *(pieces.id_to_piece(i) for i in range(1, pieces.get_piece_size())), SOS_EOS]
    write_text(folder / "tokens.txt", "\n".join(tokens) + "\n")
