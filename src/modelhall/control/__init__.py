"""Makes the declared true: the loop, and one reconciler a kind. Knows no tensor, no HTTP and no adapter."""
