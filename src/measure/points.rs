//! Metrics that Qiyas itself receives, host metrics above all: the last value of each series.
