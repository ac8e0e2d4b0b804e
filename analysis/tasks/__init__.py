"""Memory tasks: copying, adding, the order of two cues; who learns them, after how long a delay."""
