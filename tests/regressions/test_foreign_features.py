"""Archives of features that Kaldi's tools and others wrote."""

import kaldiio
import numpy as np
import pytest

from secateur.core.errors import SecateurError
from secateur.speech.features import Archive

MATRIX = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 128044\n"


def place(folder, **options):
    """Where an archive holds the matrix, as `feats.scp` says it."""
    files = f"{folder}/raw.ark,{folder}/raw.scp"
    with kaldiio.WriteHelper(f"ark,scp:{files}", **options) as writer:
        writer("a", MATRIX)
    return (folder / "raw.scp").read_text().split()[1]


def archive(folder, line):
    (folder / "feats.scp").write_text(f"first {line}\n")
    return Archive(folder)["first"]


@pytest.mark.parametrize(("method", "exactness"), [(1, 0.05), (2, 0.05), (3, 1e-3), (5, 0.05)])
def test_kaldis_compressed_archives_are_read(tmp_path, method, exactness):
    found = archive(tmp_path, place(tmp_path, compression_method=method))
    assert found.dtype == np.float32 and np.abs(found - MATRIX).max() < exactness


def test_ranges_are_taken(tmp_path):
    line = place(tmp_path)
    assert np.array_equal(archive(tmp_path, line), MATRIX)
    assert np.array_equal(archive(tmp_path, f"{line}[2:5]"), MATRIX[2:6])  # both ends count, as in Kaldi
    assert np.array_equal(archive(tmp_path, f"{line}[2:5,1:2]"), MATRIX[2:6, 1:3])


def test_a_file_with_one_matrix_of_doubles_is_read(tmp_path):
    kaldiio.save_mat(str(tmp_path / "a.mat"), MATRIX.astype(np.float64))
    found = archive(tmp_path, tmp_path / "a.mat")
    assert found.dtype == np.float32 and np.array_equal(found, MATRIX)


@pytest.mark.parametrize("line", ["copy-feats ark:x.ark ark:- |", "sph2pipe a.sph|", "|"])
def test_commands_are_one_error_with_the_line(tmp_path, line):
    (tmp_path / "feats.scp").write_text(f"first {place(tmp_path)}\nsecond {line}\n")
    with pytest.raises(
        SecateurError, match=r"feats\.scp:2: '.*\|' is no `path:offset`; commands .*`copy-feats scp:feats"
    ):
        Archive(tmp_path)


def test_a_line_without_a_place_is_named(tmp_path):
    (tmp_path / "feats.scp").write_text("first\n")
    with pytest.raises(SecateurError, match=r"feats\.scp:1: '' is no `path:offset`"):
        Archive(tmp_path)


def test_a_pointer_of_git_lfs_in_place_of_an_archive(tmp_path):
    line = place(tmp_path)
    (tmp_path / "raw.ark").write_bytes(LFS)
    with pytest.raises(SecateurError, match=r"raw\.ark: a pointer of Git LFS"):
        archive(tmp_path, line.partition(":")[0] + ":4000")
