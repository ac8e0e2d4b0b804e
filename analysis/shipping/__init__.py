"""Software whose LSTM gradient is wrong: scripts that run it in its own environment, and equations typed again."""
