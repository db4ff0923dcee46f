-- Replaced credentials by the end of their overlap: who looks each minute for those whose successor nobody uses.
CREATE INDEX credentials_by_overlap ON credentials (accepts_until) WHERE accepts_until IS NOT NULL;
