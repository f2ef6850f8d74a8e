"""The triggers that record deletions, by vendor: templates of SQL, and what `flush` needs because of them."""
