"""An attack, a data set and a statistic for Titer, one file each."""
