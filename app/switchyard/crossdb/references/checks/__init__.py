"""System checks of references: where a deletion of a parent would not be recorded, or not reach the children."""
