"""The live service under measurement: who sends it channels, and the service as a user starts it."""
