//! What partners write into references and metadata, made up.

use rand::{RngExt, rngs::SmallRng};

/// A kind of text by name.
type Kind = (&'static str, fn(&mut SmallRng) -> String);

const NAMES: [&str; 12] = [
    "Ada Lovelace",
    "Grace Hopper",
    "José García",
    "Zoë Müller",
    "李小龙",
    "Nguyễn Văn An",
    "O'Brien",
    "abandon ability able",
    "Card holder",
    "security desk",
    "code review",
    "pin board",
];

fn name(random: &mut SmallRng) -> &'static str {
    NAMES[random.random_range(0..NAMES.len())]
}

fn digits(random: &mut SmallRng, count: usize) -> String {
    (0..count)
        .map(|_| char::from(b'0' + random.random_range(0..10u8)))
        .collect()
}

/// Groups of digits with something between.
fn groups(random: &mut SmallRng, lengths: &[usize], between: &str) -> String {
    let groups: Vec<_> = lengths.iter().map(|count| digits(random, *count)).collect();
    groups.join(between)
}

fn one_of(random: &mut SmallRng, texts: &[&'static str]) -> &'static str {
    texts[random.random_range(0..texts.len())]
}

fn date(random: &mut SmallRng) -> String {
    let (month, day) = (random.random_range(1..13), random.random_range(1..29));
    format!("2026-{month:02}-{day:02}")
}

fn time(random: &mut SmallRng, between: &str) -> String {
    let (hour, minute, second) = (
        random.random_range(0..24),
        random.random_range(0..60),
        random.random_range(0..60),
    );
    format!("{hour:02}{between}{minute:02}{between}{second:02}")
}

fn address(random: &mut SmallRng) -> String {
    let parts: [u8; 4] = random.random();
    parts.map(|part| part.to_string()).join(".")
}

pub(super) const KINDS: &[Kind] = &[
    ("name", |r| name(r).to_owned()),
    ("order number", |r| {
        format!("PO-{}-{}", r.random_range(2020..2031), digits(r, 6))
    }),
    ("UUID", |r| {
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            r.random::<u32>(),
            r.random::<u16>(),
            r.random_range(0..0x1000),
            r.random_range(0..0x1000),
            r.random_range(0..1u64 << 48)
        )
    }),
    ("hash", |r| format!("{:032x}", r.random::<u128>())),
    ("half a hash", |r| format!("{:016x}", r.random::<u64>())),
    ("telephone", |r| {
        format!("+{} {}", r.random_range(1..99), groups(r, &[3, 8], " "))
    }),
    ("two telephones", |r| {
        format!("49{} 49{}", digits(r, 10), digits(r, 10))
    }),
    ("street", |r| {
        let (name, number) = (name(r), r.random_range(1..300));
        format!("{name} Street {number}, {} Town", digits(r, 5))
    }),
    ("moment", |r| format!("{}T{}Z", date(r), time(r, ":"))),
    ("two dates", |r| format!("{} {}", date(r), date(r))),
    ("dates from and to", |r| {
        format!("{} - {}", date(r), date(r))
    }),
    ("moment with dots", |r| {
        format!("{} {}.{}", date(r), time(r, "."), digits(r, 6))
    }),
    ("milliseconds", |r| {
        (1_700_000_000_000 + r.random_range(0..100_000_000_000u64)).to_string()
    }),
    ("microseconds", |r| {
        (1_764_000_000_000_000 + r.random_range(0..100_000_000_000_000u64)).to_string()
    }),
    ("nanoseconds", |r| {
        (1_764_000_000_000_000_000 + r.random_range(0..100_000_000_000_000_000u64)).to_string()
    }),
    ("price", |r| {
        format!("{}.{}", r.random_range(0..100_000), digits(r, 2))
    }),
    ("amount", |r| {
        format!(
            "{},{}.{}",
            r.random_range(1..1000),
            groups(r, &[3, 3], ","),
            digits(r, 2)
        )
    }),
    ("latitude", |r| r.random_range(47.0..55.0f64).to_string()),
    ("coordinates", |r| {
        format!(
            "{},{}",
            r.random_range(-90.0..90.0f64),
            r.random_range(-180.0..180.0f64)
        )
    }),
    ("coordinates in words", |r| {
        format!(
            "N{} E{}",
            r.random_range(30.0..60.0f64),
            r.random_range(1.0..40.0f64)
        )
    }),
    ("decimal comma", |r| {
        r.random_range(30.0..60.0f64).to_string().replace('.', ",")
    }),
    ("share", |r| r.random::<f64>().to_string()),
    ("invoice", |r| format!("inv_{}", digits(r, 14))),
    ("invoice of a month", |r| {
        format!(
            "INV-2026-{:02}-{}",
            r.random_range(1..13),
            groups(r, &[6, 8], "-")
        )
    }),
    ("mail", |r| format!("{}@example.com", digits(r, 9))),
    ("link", |r| {
        format!(
            "https://shop.example/o/{}?a={}",
            digits(r, 10),
            digits(r, 4)
        )
    }),
    ("lot", |r| {
        format!("lot {} / {}", digits(r, 6), digits(r, 5))
    }),
    ("order of", |r| {
        format!("order {} of {}", digits(r, 8), name(r))
    }),
    ("sales order and line", |r| {
        format!(
            "SO {}{}-000{}",
            r.random_range(4..6),
            digits(r, 9),
            digits(r, 3)
        )
    }),
    ("shop's order", |r| {
        format!("30{}-{}", r.random_range(0..7), groups(r, &[7, 7], "-"))
    }),
    ("auction's order", |r| groups(r, &[2, 5, 5], "-")),
    ("version", |r| {
        format!(
            "v{}.{}.{}",
            r.random_range(0..30),
            r.random_range(0..30),
            digits(r, 3)
        )
    }),
    ("two addresses", |r| {
        format!("{} {}", address(r), address(r))
    }),
    ("ICCID", |r| format!("89{}", digits(r, 17))),
    ("ICCID in fours", |r| {
        format!("89{} {}", digits(r, 2), groups(r, &[4, 4, 4, 4], " "))
    }),
    ("short ICCID in fours", |r| {
        format!("89{} {}", digits(r, 2), groups(r, &[4, 4, 4, 3], " "))
    }),
    ("IMEI and version", |r| {
        format!("35-{}", groups(r, &[6, 6, 2], "-"))
    }),
    ("German IBAN", |r| {
        format!("DE{} {}", digits(r, 2), groups(r, &[4, 4, 4, 4, 2], " "))
    }),
    ("Austrian IBAN", |r| {
        format!("AT{} {}", digits(r, 2), groups(r, &[4, 4, 4, 4], " "))
    }),
    ("British IBAN", |r| {
        format!(
            "GB{} LOYD 30{}",
            digits(r, 2),
            groups(r, &[2, 4, 4, 2], " ")
        )
    }),
    ("sort code and account", |r| {
        format!("30-{} {}", groups(r, &[2, 2], "-"), digits(r, 8))
    }),
    ("creditor's reference", |r| {
        format!("RF{} {}", digits(r, 2), groups(r, &[4, 4, 4, 4], " "))
    }),
    ("Swiss reference", |r| groups(r, &[2, 5, 5, 5, 5, 5], " ")),
    ("Nordic reference", |r| groups(r, &[5, 5, 5], " ")),
    ("account in fours", |r| groups(r, &[4, 4, 4, 4, 4], " ")),
    ("parcel", |r| {
        format!("9400 1{}", groups(r, &[3, 4, 4, 4, 2], " "))
    }),
    ("parcel in one", |r| format!("0034043{}", digits(r, 13))),
    ("container", |r| {
        format!("{}{}", one_of(r, &["MSCU", "CSQU"]), digits(r, 7))
    }),
    ("years", |r| {
        let years: [u32; 4] = std::array::from_fn(|_| r.random_range(1990..2031));
        years.map(|year| year.to_string()).join(", ")
    }),
    ("marks", |r| {
        let marks: [u32; 16] = std::array::from_fn(|_| r.random_range(1..6));
        marks.map(|mark| mark.to_string()).join(",")
    }),
    ("opening hours", |r| {
        format!("{}-{}", groups(r, &[4, 4], "-"), groups(r, &[4, 4], ":"))
    }),
];
