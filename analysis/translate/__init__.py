"""An encoder and a decoder with attention, trained on pairs of sequences."""
