"""Opening inputs and demuxing them into packets on the media clock."""
