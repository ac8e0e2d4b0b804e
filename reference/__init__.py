"""The judges: everything here computes gradients by means that share no derivation with numpy_lstm."""
