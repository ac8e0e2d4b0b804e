"""Studies of gradient flow: ``python -m analysis flow NAME``; what each must show is in analysis/GALLERY.md."""
