"""The commands of `fm-audio`, a file each, with the options that several of them share."""
