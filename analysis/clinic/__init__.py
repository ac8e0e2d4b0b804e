"""The debugging clinic: runs that show each symptom of a training that goes wrong."""
