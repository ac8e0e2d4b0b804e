"""Classes of texts: an LSTM that reads each row, beside naive Bayes, which only counts."""
