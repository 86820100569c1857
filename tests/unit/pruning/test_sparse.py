"""Sparse files against the masked models that they hold: every byte, every output, and the size of the file."""

import pytest
import torch
from tiny import CTC, TOKENS, run_script

from secateur.core.errors import SecateurError
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model, stored_bytes
from secateur.models.load import load_model
from secateur.models.sparse import FILE, mask_names, read_sparse, write_sparse
from secateur.models.tensors import load_tensors
from secateur.pruning.engines.mask import Mask, mask_file, save_masks
from secateur.pruning.sparse import chosen_masks, export_sparse, masked, sparse_bytes


@pytest.fixture
def model():
    torch.manual_seed(1)
    return build_model(CTC, TOKENS).eval()


@pytest.fixture
def pathways(model, tmp_path):
    """A folder with one θ and a mask for each of two languages; θ is not zero where they remove weights."""
    save_model(tmp_path / "model", model, CTC, TOKENS)
    masks = {"en": Mask.random(model, 0.7, 1), "fr": Mask.random(model, 0.7, 2)}
    save_masks(tmp_path / "model", masks)
    return tmp_path / "model", masks


def same(one, other):
    return one.keys() == other.keys() and all(
        one[key].dtype == other[key].dtype
        and torch.equal(one[key].reshape(-1).view(torch.uint8), other[key].reshape(-1).view(torch.uint8))
        for key in one
    )


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.7, 1.0])
def test_one_mask_round_trips_bit_for_bit(model, tmp_path, sparsity):
    mask = Mask.random(model, sparsity, 3)
    mask.apply_(model)
    first = next(iter(mask))
    with torch.no_grad():  # what a comparison of values would not notice
        model.get_parameter(first)[mask[first]] = -0.0
    save_model(tmp_path / "model", model, CTC, TOKENS)
    save_masks(tmp_path / "model", {"all": mask})
    record = run_script("export_sparse", "--model", tmp_path / "model", "--output", tmp_path / "sparse")
    loaded = load_model(tmp_path / "sparse")
    assert same(loaded.model.state_dict(), model.state_dict())
    assert (loaded.config, loaded.tokens) == (CTC, TOKENS)
    speech, lengths = torch.randn(1, 60, 20), torch.tensor([60])
    with torch.no_grad():
        outputs = [each.encode(speech, lengths)[0] for each in (loaded.model, model)]
    assert torch.equal(*(each[0] if isinstance(each, tuple) else each for each in outputs))
    file = tmp_path / "sparse" / FILE
    assert record["bytes"] == file.stat().st_size == sparse_bytes(model.state_dict(), {"all": mask})
    assert record["dense_bytes"] == (tmp_path / "model/model.safetensors").stat().st_size == stored_bytes(model)
    # A bit for each prunable weight, four bytes for each that stays, and little beside.
    saved = 4 * (mask.total - mask.kept) - mask.total / 8
    assert record["dense_bytes"] - record["bytes"] == pytest.approx(saved, abs=3000)


def test_languages_share_their_weights_and_each_gets_its_own_mask(pathways, tmp_path):
    folder, masks = pathways
    theta = load_model(folder).model.state_dict()
    file = export_sparse(folder, tmp_path / "sparse")
    assert mask_names(file) == ["en", "fr"]
    for language, mask in masks.items():
        assert same(load_model(tmp_path / "sparse", language=language).model.state_dict(), masked(theta, mask))
        one = export_sparse(folder, tmp_path / language, language)
        assert same(load_model(tmp_path / language).model.state_dict(), masked(theta, mask))
        assert one.stat().st_size < file.stat().st_size
    both = (masks["en"] | masks["fr"]).kept
    assert len(load_tensors(file)["values"]) == both < masks["en"].kept + masks["fr"].kept
    with pytest.raises(SecateurError, match="language: none, wanted one of en, fr"):
        load_model(tmp_path / "sparse")
    with pytest.raises(SecateurError, match="no mask for 'de'; wanted one of en, fr"):
        export_sparse(folder, tmp_path / "no", "de")


def test_what_does_not_fit_is_refused(model, pathways, tmp_path):
    folder, masks = pathways
    tensors = model.state_dict()
    with pytest.raises(SecateurError, match="not of the same matrices"):
        write_sparse(tmp_path / FILE, tensors, masks | {"it": Mask.of({"one": torch.ones(2, dtype=torch.bool)})})
    with pytest.raises(SecateurError, match="mask of one does not fit the model"):
        write_sparse(tmp_path / FILE, tensors, {"it": Mask.of({"one": torch.ones(2, dtype=torch.bool)})})
    save_model(tmp_path / "dense", model, CTC, TOKENS)
    with pytest.raises(SecateurError, match="has no masks"):
        chosen_masks(tmp_path / "dense")
    with pytest.raises(SecateurError, match="not a sparse file"):
        read_sparse(folder / "model.safetensors")
    with pytest.raises(SecateurError, match="not a sparse file"):
        read_sparse(mask_file(folder, "en"))
