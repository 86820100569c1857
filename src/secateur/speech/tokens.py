"""Token lists: characters, or SentencePiece byte-pair pieces, in ESPnet's order.

A token list has `<blank>` first (the blank of CTC and RNN-T is index 0), then `<unk>`, the units, and `<sos/eos>` last.
Characters write a space as `<space>`; pieces write it as a leading `▁`.
"""

import shutil
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from secateur.core.errors import SecateurError
from secateur.core.files import write_text, written_aside

BLANK, UNKNOWN, SPACE, SOS_EOS = "<blank>", "<unk>", "<space>", "<sos/eos>"
PIECES_FILE, WHISPER_FILE = SPELLING = ("bpe.model", "tokenizer.json")
"""What spells text in a token list whose units are not characters, beside it."""
UNKNOWN_SHARE = 0.01  # of the tokens of a text; more is taken for text in another language, or not normalised


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
        self.unknown = self._ids[UNKNOWN]

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """Load `tokens.txt`, and what is beside it when there is one: `bpe.model`, or Whisper's `tokenizer.json`.

        Raises SecateurError if the two are not of each other.
        """
        path = Path(path)
        try:
            tokens = [token for token in path.read_text(encoding="utf-8").split("\n") if token]
        except FileNotFoundError as error:
            raise SecateurError(f"{path}: no such token list") from error
        if (path.parent / WHISPER_FILE).exists():
            from secateur.speech.whisper_tokens import WhisperTokenizer

            return WhisperTokenizer(tokens, path.parent / WHISPER_FILE)
        pieces = None
        if (path.parent / PIECES_FILE).exists():
            import sentencepiece

            pieces = sentencepiece.SentencePieceProcessor(model_file=str(path.parent / PIECES_FILE))
            if strange := _not_pieces(tokens, pieces):
                raise SecateurError(
                    f"{path}: its {len(tokens)} tokens are not those of {PIECES_FILE} beside it, e.g. {strange[0]!r}; "
                    "delete the one that is left over from another run, or make both again"
                )
        return cls(tokens, pieces)

    def encode(self, text: str, language: str = "") -> list[int]:
        """Token ids of `text`, in any language; a unit outside the list becomes `<unk>`."""
        if self._pieces is not None:
            units = self._pieces.encode(text, out_type=str)
        else:
            units = [SPACE if character == " " else character for character in text]
        return [self._ids.get(unit, self.unknown) for unit in units]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of token ids, with single spaces between words; blank and sos/eos are left out."""
        units = [self.tokens[index] for index in ids]
        units = [unit for unit in units if unit not in (BLANK, SOS_EOS)]
        text = "".join(" " if unit == SPACE else unit for unit in units).replace("▁", " ")
        return " ".join(text.split())


def token_files(tokens: Path) -> list[Path]:
    """The files that `Tokenizer.load(tokens)` reads: the list, and what spells text in it, if there is one."""
    return [tokens, *(tokens.parent / name for name in SPELLING if (tokens.parent / name).exists())]


def check_coverage(sentences: Iterable[str], tokenizer: Tokenizer, source: str) -> float:
    """The share of `<unk>` among the tokens of `sentences`.

    Raises SecateurError, naming `source` and the first line with one, above `UNKNOWN_SHARE`.
    """
    total = unknown = 0
    example = ""
    for sentence in sentences:
        ids = tokenizer.encode(sentence)
        total, missing = total + len(ids), ids.count(tokenizer.unknown)
        unknown += missing
        example = example or (sentence if missing else "")
    if unknown > UNKNOWN_SHARE * total:
        raise SecateurError(
            f"{source}: {unknown / total:.1%} of the tokens are {UNKNOWN}, at most {UNKNOWN_SHARE:.0%} may be, e.g. in "
            f"{example!r}; take out the lines that the token list cannot write, or use text of the corpus' languages"
        )
    return unknown / max(total, 1)


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
        (folder / PIECES_FILE).unlink(missing_ok=True)  # of an earlier run with `bpe`
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
        tokens = _token_list(pieces)
    write_text(folder / "tokens.txt", "\n".join(tokens) + "\n")


def take_tokens(folder: str | Path, tokens: Sequence[str], pieces: Path | None) -> None:
    """Write `tokens.txt`, the token list of a model that was trained elsewhere, and what spells text, into `folder`."""
    folder = Path(folder)
    if strange := [token for token in tokens if not token or "\n" in token]:
        raise SecateurError(f"the token list holds {strange[0]!r}, which is no token; mend it")
    write_text(folder / "tokens.txt", "\n".join(tokens) + "\n")
    for name in SPELLING:
        (folder / name).unlink(missing_ok=True)
    if pieces:
        with written_aside(folder / (pieces.name if pieces.name in SPELLING else PIECES_FILE)) as aside:
            shutil.copyfile(pieces, aside)
    Tokenizer.load(folder / "tokens.txt")


def _not_pieces(tokens: Sequence[str], pieces) -> list[str]:
    """Tokens that the model of the pieces does not know, names in <> left out; `<space>` is of a list of characters.

    ESPnet's lists have the pieces of the training text alone, in an order of their own.
    """
    known = {pieces.id_to_piece(index) for index in range(pieces.get_piece_size())}
    named = [token for token in tokens if token[0] == "<" and token[-1] == ">" and token != SPACE]
    return [token for token in tokens if token not in known and token not in named]


def _token_list(pieces) -> list[str]:
    return [BLANK, UNKNOWN, *(pieces.id_to_piece(i) for i in range(1, pieces.get_piece_size())), SOS_EOS]
