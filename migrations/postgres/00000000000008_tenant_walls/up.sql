-- A wall behind the store's own: whoever has taken the role onyx_tenant sees and writes the rows of
-- the tenant that its transaction named, and no others. Other users of the tables are not concerned.
-- The role itself is made, where the server's user may, when a process starts: see store/walls.rs.

ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON orders USING (
    current_user <> 'onyx_tenant' OR (
        partner_id = current_setting('onyx.partner_id', true) AND realm = current_setting('onyx.realm', true)
    )
);
ALTER TABLE order_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE order_events FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON order_events USING (
    current_user <> 'onyx_tenant' OR (
        partner_id = current_setting('onyx.partner_id', true) AND realm = current_setting('onyx.realm', true)
    )
);
ALTER TABLE usage_records ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_records FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON usage_records USING (
    current_user <> 'onyx_tenant' OR (
        partner_id = current_setting('onyx.partner_id', true) AND realm = current_setting('onyx.realm', true)
    )
);
ALTER TABLE ledger_entries ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_entries FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON ledger_entries USING (
    current_user <> 'onyx_tenant' OR (
        partner_id = current_setting('onyx.partner_id', true) AND realm = current_setting('onyx.realm', true)
    )
);
ALTER TABLE invoices ENABLE ROW LEVEL SECURITY;
ALTER TABLE invoices FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON invoices USING (
    current_user <> 'onyx_tenant' OR (
        partner_id = current_setting('onyx.partner_id', true) AND realm = current_setting('onyx.realm', true)
    )
);
ALTER TABLE invoice_lines ENABLE ROW LEVEL SECURITY;
ALTER TABLE invoice_lines FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON invoice_lines USING (
    current_user <> 'onyx_tenant' OR (
        partner_id = current_setting('onyx.partner_id', true) AND realm = current_setting('onyx.realm', true)
    )
);
ALTER TABLE invoice_counters ENABLE ROW LEVEL SECURITY;
ALTER TABLE invoice_counters FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON invoice_counters USING (
    current_user <> 'onyx_tenant' OR (
        partner_id = current_setting('onyx.partner_id', true) AND realm = current_setting('onyx.realm', true)
    )
);
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON idempotency_keys USING (
    current_user <> 'onyx_tenant' OR (
        partner_id = current_setting('onyx.partner_id', true) AND realm = current_setting('onyx.realm', true)
    )
);
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
ALTER TABLE events FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON events USING (
    current_user <> 'onyx_tenant' OR (
        partner_id = current_setting('onyx.partner_id', true) AND realm = current_setting('onyx.realm', true)
    )
);
ALTER TABLE event_counters ENABLE ROW LEVEL SECURITY;
ALTER TABLE event_counters FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON event_counters USING (
    current_user <> 'onyx_tenant' OR (
        partner_id = current_setting('onyx.partner_id', true) AND realm = current_setting('onyx.realm', true)
    )
);
ALTER TABLE package_partners ENABLE ROW LEVEL SECURITY;
ALTER TABLE package_partners FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON package_partners USING (
    current_user <> 'onyx_tenant' OR (
        partner_id = current_setting('onyx.partner_id', true) AND realm = current_setting('onyx.realm', true)
    )
);

-- A partner's own records, which the house keeps.
ALTER TABLE partners ENABLE ROW LEVEL SECURITY;
ALTER TABLE partners FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON partners USING (
    current_user <> 'onyx_tenant' OR id = current_setting('onyx.partner_id', true)
);
ALTER TABLE clients ENABLE ROW LEVEL SECURITY;
ALTER TABLE clients FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON clients USING (
    current_user <> 'onyx_tenant' OR (
        partner_id = current_setting('onyx.partner_id', true) AND realm = current_setting('onyx.realm', true)
    )
);
ALTER TABLE credentials ENABLE ROW LEVEL SECURITY;
ALTER TABLE credentials FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON credentials USING (
    current_user <> 'onyx_tenant' OR EXISTS (SELECT 1 FROM clients c WHERE c.id = client_id)
);
ALTER TABLE scope_usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE scope_usage FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON scope_usage USING (
    current_user <> 'onyx_tenant' OR EXISTS (SELECT 1 FROM clients c WHERE c.id = client_id)
);
ALTER TABLE scope_grants ENABLE ROW LEVEL SECURITY;
ALTER TABLE scope_grants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON scope_grants USING (
    current_user <> 'onyx_tenant' OR (
        partner_id = current_setting('onyx.partner_id', true) AND realm = current_setting('onyx.realm', true)
    )
);
ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_events FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_events USING (
    current_user <> 'onyx_tenant' OR (
        partner_id = current_setting('onyx.partner_id', true) AND realm = current_setting('onyx.realm', true)
    )
);
ALTER TABLE request_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE request_log FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON request_log USING (
    current_user <> 'onyx_tenant' OR (
        partner_id = current_setting('onyx.partner_id', true) AND realm = current_setting('onyx.realm', true)
    )
);
