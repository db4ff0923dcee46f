DROP TABLE prohibited_findings;
