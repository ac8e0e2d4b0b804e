"""How fast, in how much memory, and on a GPU: this library beside PyTorch, JAX and autograd."""
