"""What a trained character model has learnt: its gates, its units, and its gradients."""
