"""What has to be measured once of a set-up before it is used: the delay between frames and poses."""
