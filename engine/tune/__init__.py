"""`avjury tune`: thresholds for content that is known to be good, with the evidence for them."""
