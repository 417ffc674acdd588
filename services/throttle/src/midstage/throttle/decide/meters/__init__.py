"""One counter for each algorithm, all behind ``meter.Meter``, in whole numbers throughout."""
