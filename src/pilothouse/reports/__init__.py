"""Reports: runs on disk, statistics, figures, claims."""
