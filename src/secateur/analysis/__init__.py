"""What the layers of trained models compute: their outputs, and how alike these are."""
