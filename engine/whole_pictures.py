"""From how many looks a second on the artifact network can look at whole pictures: settings and engine both ask."""

from typing import Final

# Every third of 24 pictures a second: of every fifth next to nothing is left that those before tell (decision 0134).
LEAST_RATE: Final = 8.0
