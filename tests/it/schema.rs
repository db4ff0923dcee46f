//! The tables are the same on both engines, and the same as the program believes.

use std::collections::BTreeMap;

use crate::support::world::{Engine, World};

/// A column: its type, whether it may be null, and its place in the primary key, from 1.
type Columns = BTreeMap<String, (String, bool, usize)>;
type Tables = BTreeMap<String, Columns>;

const SQLITE: &str = "
    SELECT t.name || '|' || c.name || '|' || c.type || '|' || (c.\"notnull\" = 0) || '|' || c.pk AS line
    FROM sqlite_schema t JOIN pragma_table_info(t.name) c
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name NOT LIKE '\\_\\_%' ESCAPE '\\'
    ORDER BY t.name, c.cid";

const POSTGRES: &str = "
    SELECT c.table_name || '|' || c.column_name || '|' || c.data_type || '|'
        || CASE c.is_nullable WHEN 'YES' THEN 1 ELSE 0 END || '|' || COALESCE(k.ordinal_position, 0) AS line
    FROM information_schema.columns c
    LEFT JOIN information_schema.table_constraints p
        ON p.table_schema = c.table_schema AND p.table_name = c.table_name AND p.constraint_type = 'PRIMARY KEY'
    LEFT JOIN information_schema.key_column_usage k
        ON k.constraint_schema = p.constraint_schema AND k.constraint_name = p.constraint_name
        AND k.table_name = c.table_name AND k.column_name = c.column_name
    WHERE c.table_schema = current_schema() AND c.table_name NOT LIKE '\\_\\_%'
    ORDER BY c.table_name, c.ordinal_position";

/// The indexes beside those that keys and unique constraints bring along.
const SQLITE_INDEXES: &str = "
    SELECT i.name || '|' || i.tbl_name || '|' || group_concat(c.name, ',') AS line
    FROM sqlite_schema i JOIN pragma_index_info(i.name) c
    WHERE i.type = 'index' AND i.sql IS NOT NULL GROUP BY i.name ORDER BY i.name";

const POSTGRES_INDEXES: &str = "
    SELECT i.relname || '|' || t.relname || '|' || string_agg(a.attname, ',' ORDER BY k.nth) AS line
    FROM pg_index x
    JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
    CROSS JOIN LATERAL unnest(x.indkey) WITH ORDINALITY AS k (attnum, nth)
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum
    WHERE t.relnamespace = current_schema()::regnamespace
        AND NOT EXISTS (SELECT 1 FROM pg_constraint n WHERE n.conindid = x.indexrelid)
    GROUP BY i.relname, t.relname ORDER BY i.relname COLLATE \"C\"";

fn migrated(engine: Engine) -> World {
    let world = World::prepare(engine, &[]);
    world.cli(&["migrate"]);
    world
}

fn tables(world: &World) -> Tables {
    let query = match world.engine {
        Engine::Sqlite => SQLITE,
        Engine::Postgres => POSTGRES,
    };
    let mut tables = Tables::new();
    for line in world.lines(query) {
        let [table, column, kind, null, place] = line.split('|').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let kind = match kind.to_ascii_lowercase().as_str() {
            "timestamp without time zone" => "timestamp".to_owned(),
            "boolean" => "bool".to_owned(),
            "blob" | "bytea" => "binary".to_owned(),
            other => other.to_owned(),
        };
        tables.entry(table.to_owned()).or_default().insert(
            column.to_owned(),
            (kind, null == "1", place.parse().unwrap()),
        );
    }
    tables
}

/// The tables of `src/store/schema.rs`, read as text: `name (key, key) {` and `column -> Type,`.
fn believed() -> Tables {
    let mut tables = Tables::new();
    let mut table = (String::new(), Vec::new());
    for line in include_str!("../../src/store/schema.rs").lines() {
        let line = line.trim().trim_end_matches(',');
        if let Some((column, kind)) = line.split_once(" -> ").filter(|_| !table.0.is_empty()) {
            let bare = kind
                .strip_prefix("Nullable<")
                .map_or(kind, |kind| kind.trim_end_matches('>'));
            let place = table
                .1
                .iter()
                .position(|key| key == column)
                .map_or(0, |nth| nth + 1);
            tables.entry(table.0.clone()).or_default().insert(
                column.to_owned(),
                (bare.to_ascii_lowercase(), bare != kind, place),
            );
        } else if line == "}" {
            table = (String::new(), Vec::new());
        } else if let Some((name, keys)) = line
            .strip_suffix(") {")
            .and_then(|line| line.split_once(" ("))
        {
            table = (
                name.to_owned(),
                keys.split(", ").map(str::to_owned).collect(),
            );
        }
    }
    tables
}

#[test]
fn both_engines_have_the_tables_that_the_program_believes_in() {
    let believed = believed();
    assert!(believed.len() >= 8 && believed["clients"]["partner_id"].1);
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let made = tables(&migrated(engine));
        assert_eq!(
            made.keys().collect::<Vec<_>>(),
            believed.keys().collect::<Vec<_>>(),
            "{engine:?}"
        );
        for (name, columns) in &believed {
            assert_eq!(&made[name], columns, "{engine:?}: {name}");
        }
    }
}

#[test]
fn both_engines_have_the_same_indexes() {
    let (sqlite, postgres) = (migrated(Engine::Sqlite), migrated(Engine::Postgres));
    let indexes = sqlite.lines(SQLITE_INDEXES);
    assert!(!indexes.is_empty());
    assert_eq!(indexes, postgres.lines(POSTGRES_INDEXES));
}

#[test]
fn a_second_migration_finds_nothing_to_do() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let world = World::prepare(engine, &[]);
        let first = world.run(&["migrate"]);
        let told = String::from_utf8(first.stderr).unwrap();
        assert!(
            first.status.success() && told.starts_with("Ran 0000"),
            "{told}"
        );
        assert!(first.stdout.is_empty());
        let before = tables(&world);
        let second = world.run(&["migrate"]);
        let told = String::from_utf8(second.stderr).unwrap();
        assert!(second.status.success());
        assert_eq!(told, "The database is up to date.\n");
        assert_eq!(tables(&world), before);
    }
}
