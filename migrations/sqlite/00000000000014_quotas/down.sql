DROP TABLE nodes;
DROP TABLE usage_counters;
