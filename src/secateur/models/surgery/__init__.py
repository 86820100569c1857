"""Taking parts out of a trained model: encoder layers, attention heads, rows and columns of matrices."""
