"""Methods: one file each, with `apply(draft, tuning, *, options…) -> Draft`, and in `NEEDS` the libraries it cannot
do without. The file's name is that of the method in `compress`."""
