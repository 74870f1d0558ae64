"""Datasets that ZFS keeps, through the programs of OpenZFS or zfs-fuse."""
