"""Products in groups, held against whole ones: every way to divide them, on any processor."""

from typing import Any

import numpy as np
import pytest

from numpy_lstm import products

DTYPES = [np.float64, np.float32]


@pytest.mark.parametrize(
    ("kernel", "threads", "avx512", "quicker"),
    [
        ("SkylakeX", 1, True, True),
        ("SkylakeX", 1, False, False),
        ("SkylakeX", 2, True, False),
        ("Haswell", 1, True, False),
        (None, None, True, False),
    ],
)
def test_groups_only_where_small_products_are_quicker(
    monkeypatch: pytest.MonkeyPatch, kernel: str | None, threads: int | None, avx512: bool, quicker: bool
) -> None:
    monkeypatch.setattr(products, "AVX512", avx512)
    monkeypatch.setattr(products.doctor, "kernel_and_threads", lambda: (kernel, threads))
    assert products.unpacked() is quicker


@pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])
@pytest.mark.parametrize("unpacked", [10**6, 10**5])
def test_a_product_in_groups_is_the_product(monkeypatch: pytest.MonkeyPatch, unpacked: int, dtype: Any) -> None:
    """Rows that divide and that do not, one group and several, one part and several; strided left sides and results."""
    monkeypatch.setattr(products, "UNPACKED", unpacked)
    rng, ways = np.random.default_rng(0), set()
    for R, K, N in (
        (300, 128, 64),
        (257, 128, 100),
        (70, 1024, 64),
        (64, 1024, 256),
        (320, 33, 40),
        (31, 8, 8),
        (0, 3, 4),
    ):
        a, b = (rng.standard_normal(shape).astype(dtype) for shape in ((R, K + 5), (K, N)))
        right, out = products.Right(b, True), np.full((R, N + 3), np.nan, dtype)
        assert right.product(a[:, :K], out[:, :N]) is not None
        exact, size = (f(a[:, :K]).astype("f8") @ f(b).astype("f8") for f in (np.positive, np.abs))
        assert np.all(np.abs(out[:, :N] - exact) <= max(K, 2) * np.finfo(dtype).eps * size)
        assert np.isnan(out[:, N:]).all()
        if right.groups is not None:
            ways.add((right.parts > 1, right.columns < N))
            assert right.groups.ctypes.data % products.VECTOR == 0
            assert min(right.rows, products.ROWS) * right.columns * K <= right.parts * unpacked
    assert len(ways) >= 2


def test_groups_are_seen_when_they_are_filled() -> None:
    """What another thread multiplies while they are made is the product too."""
    rng, seen = np.random.default_rng(0), []
    a, values = rng.standard_normal((300, 128)), rng.standard_normal((128, 64))

    class Meanwhile(np.ndarray):
        def reshape(self, *shape: Any, **more: Any) -> Any:
            if not seen:
                seen.append(None)
                seen.append(right.product(a, np.empty((300, 64))))
            return values.reshape(*shape, **more)

    right = products.Right(values.view(Meanwhile), True)
    right.product(a, np.empty((300, 64)))
    assert right.groups is not None
    np.testing.assert_allclose(seen[1], a @ values, rtol=1e-12, atol=1e-12)


def test_what_is_not_to_be_grouped_is_multiplied_as_it_stands() -> None:
    a, b = np.ones((200, 300)), np.ones((300, 64))
    right = products.Right(b, False)
    assert np.all(right.product(a, np.empty((200, 64))) == 300)
    assert right.groups is None


@pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])
def test_a_contraction_is_added_to_what_was_summed(dtype: Any) -> None:
    """By either way, and whatever the strides are, also those of the sum."""
    rng = np.random.default_rng(0)
    d, z = (rng.standard_normal((9, N)).astype(dtype) for N in (8, 5))
    for left, right in ((d, z), (d[:, :6], z), (d, z[:, 1:])):
        one = products.contraction(left, right)
        assert one.shape == (left.shape[1], right.shape[1])
        before = one.copy()
        for given in (one, before.copy("C"), before.copy("F")):
            two = products.contraction(left[::-1].copy(), right[::-1].copy(), given)
            size = np.abs(before) + np.abs(left).T @ np.abs(right)
            assert np.all(np.abs(two - (before + left.T @ right)) <= 50 * np.finfo(dtype).eps * size)
