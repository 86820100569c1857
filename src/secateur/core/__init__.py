"""What everything else stands on: errors, files, jobs, processes, devices and the fingerprints of code."""
