"""The values that gateway works with: applications, set-up, log files, positions; frozen."""
