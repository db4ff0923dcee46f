//! CSV files of packages: each record becomes the JSON object that says the same.

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

use super::import::{MOST, Rows, fault};
use crate::http::problem::Problem;

/// The columns of a file, of which those from `partners` on may be missing.
const COLUMNS: [&str; 10] = [
    "name",
    "description",
    "price_amount",
    "price_currency",
    "validity_days",
    "region",
    "features",
    "partners",
    "included_quantity",
    "included_unit",
];

/// Reads a file.
pub(super) fn read(body: &[u8]) -> Result<Rows, Problem> {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "invalid_csv", detail);
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    check_quotes(body).map_err(bad)?;
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(body);
    let header = reader
        .headers()
        .map_err(|_| bad("the header is not UTF-8".to_owned()))?
        .clone();
    for (nth, name) in header.iter().enumerate() {
        if !COLUMNS.contains(&name) || header.iter().take(nth).any(|other| other == name) {
            let known = COLUMNS.join(",");
            return Err(bad(format!("column {}: the columns are {known}", nth + 1)));
        }
    }
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for (nth, record) in reader.records().enumerate() {
        if nth > MOST {
            break;
        }
        rows.push(match record {
            Ok(record) if record.len() == header.len() => Some(object(&header, &record)),
            Ok(record) => {
                let detail = format!(
                    "has {} fields, and the header has {}",
                    record.len(),
                    header.len()
                );
                faults.push(fault(format!("/{nth}"), "invalid", detail, nth));
                None
            }
            Err(_) => {
                faults.push(fault(format!("/{nth}"), "invalid", "is not UTF-8", nth));
                None
            }
        });
    }
    Ok((rows, faults))
}

/// Where in a file its reader is.
#[derive(Clone, Copy)]
enum Place {
    /// At a field's start.
    Start,
    /// In a field without quotes.
    Plain,
    /// Between a field's quotes.
    Quoted,
    /// Behind a quote that ends a field, or is the first of two that stand for one.
    Behind,
}

/// Refuses a file whose quotes are not as RFC 4180 §2 (rules 5 to 7) has them. The error names the line.
///
/// The reader would take it: a quote too many or too few joins rows, and packages are gone without a word.
fn check_quotes(body: &[u8]) -> Result<(), String> {
    let (mut place, mut line, mut opened) = (Place::Start, 1_usize, 1_usize);
    let mut bytes = body.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        place = match (place, byte) {
            (Place::Quoted, b'"') => Place::Behind,
            (Place::Quoted, _) | (Place::Behind, b'"') => Place::Quoted,
            (_, b',' | b'\r' | b'\n') => Place::Start,
            (Place::Start, b'"') => {
                opened = line;
                Place::Quoted
            }
            (Place::Plain, b'"') => {
                return Err(format!(
                    "line {line}: a quote stands in a field that does not begin with one: put the field into quotes, \
                     and write each quote in it twice"
                ));
            }
            (Place::Behind, _) => {
                return Err(format!(
                    "line {opened}: a field in quotes goes on after a quote on line {line}: write each quote in it \
                     twice"
                ));
            }
            (Place::Start | Place::Plain, _) => Place::Plain,
        };
        let ends_line = match byte {
            b'\n' => true,
            b'\r' => bytes.peek() != Some(&b'\n'),
            _ => false,
        };
        line += usize::from(ends_line);
    }
    match place {
        Place::Quoted => Err(format!(
            "line {opened}: a field begins with a quote, and none ends it"
        )),
        Place::Start | Place::Plain | Place::Behind => Ok(()),
    }
}

fn object(header: &csv::StringRecord, record: &csv::StringRecord) -> Map<String, Value> {
    let mut object = Map::new();
    let (mut price, mut included) = (Map::new(), Map::new());
    for (name, field) in header.iter().zip(record.iter()) {
        let list = || -> Value {
            let items = field.split(';').map(str::trim);
            items.filter(|item| !item.is_empty()).collect()
        };
        // A field that is no number stays a text, and is told as one.
        let number = || {
            field
                .parse::<i64>()
                .map_or_else(|_| json!(field), Value::from)
        };
        match name {
            "price_amount" => price.insert("amount".to_owned(), number()),
            "price_currency" => price.insert("currency".to_owned(), json!(field)),
            "validity_days" => object.insert(name.to_owned(), number()),
            "features" => object.insert(name.to_owned(), list()),
            "included_quantity" | "included_unit" if field.is_empty() => None,
            "included_quantity" => included.insert("quantity".to_owned(), number()),
            "included_unit" => included.insert("unit".to_owned(), json!(field)),
            "partners" if field.is_empty() => None,
            "partners" => object.insert(name.to_owned(), list()),
            _ if field.is_empty() => None,
            _ => object.insert(name.to_owned(), json!(field)),
        };
    }
    object.insert("price".to_owned(), Value::Object(price));
    if !included.is_empty() {
        object.insert("included".to_owned(), Value::Object(included));
    }
    object
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::import::packages_of;
    use super::*;
    use crate::admin::packages::NewPackage;

    const HEADER: &str =
        "name,description,price_amount,price_currency,validity_days,region,features,partners\n";

    fn csv(rows: &str) -> Result<Vec<NewPackage>, Problem> {
        let (rows, faults) = read(format!("{HEADER}{rows}").as_bytes())?;
        packages_of(rows, faults)
    }

    #[test]
    fn a_file_of_a_spreadsheet_is_read() {
        let all =
            csv("\"Europe, 5 GB\",Data,1900,EUR,30,Europe,5 GB; hotspot,\nFree,Try,0,USD,1,US,,\n");
        let all = all.unwrap();
        assert_eq!(
            (all[0].name.as_str(), all[0].features.len()),
            ("Europe, 5 GB", 2)
        );
        assert!(all[0].viewers.is_none() && all[1].features.is_empty());
    }

    #[test]
    fn a_file_may_say_how_much_is_included() {
        let file = b"name,description,price_amount,price_currency,validity_days,region,features,included_quantity,included_unit\n\
            A,A,1,EUR,1,EU,,5000,MB\nB,B,1,EUR,1,EU,,,\nC,C,1,EUR,1,EU,,5000,\n";
        let (mut rows, faults) = read(file).unwrap();
        assert!(packages_of(rows.clone(), faults).is_err(), "C says no unit");
        rows.pop();
        let all = packages_of(rows, Vec::new()).unwrap();
        let said = all[0]
            .included
            .as_ref()
            .map(|i| (i.quantity, i.unit.as_str()));
        assert_eq!((said, all[1].included.as_ref()), (Some((5000, "MB")), None));
    }

    #[test]
    fn quotes_are_where_they_belong() {
        for good in [
            "",
            "a,b\n",
            "\"a\",\"b\"\r\n\"c\",\"d\"",
            "\"\"\r\"\"\"\",x",
            "\"two\nlines, and a \"\"word\"\"\"\n",
        ] {
            assert_eq!(check_quotes(good.as_bytes()), Ok(()), "{good:?}");
        }
        for (bad, named) in [
            ("a,b\"c\n", "line 1: "),
            ("a\r\nb, \"c\"\n", "line 2: "),
            ("a\rb\rc\"", "line 3: "),
            ("a\n\"b\"c\n", "line 2: "),
            ("a\n\"b\nc\n\"d\ne\",f\n", "line 2: "),
            ("\"a\" ,b", "line 1: "),
            ("a\n\nb,\"c\nd\n", "line 3: "),
            ("\"a\"\"", "line 1: "),
        ] {
            let told = check_quotes(bad.as_bytes()).unwrap_err();
            assert!(told.starts_with(named), "{bad:?}: {told}");
        }
    }

    proptest! {
        #[test]
        fn no_file_stops_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..400), rows in "[a-z0-9,;\"\n-]{0,200}") {
            let _ = read(&bytes).and_then(|(rows, faults)| packages_of(rows, faults));
            let _ = csv(&rows);
        }

        #[test]
        fn what_was_written_by_the_rules_is_read_whole(names in proptest::collection::vec("[a-z0-9,;\"\r\n]{0,12}", 1..9)) {
            let quoted = names.iter().map(|name| format!("\"{}\"\r\n", name.replace('"', "\"\"")));
            let file = format!("name\r\n{}", quoted.collect::<String>());
            prop_assert_eq!(read(file.as_bytes()).map(|(rows, _)| rows.len()).ok(), Some(names.len()));
        }
    }
}
