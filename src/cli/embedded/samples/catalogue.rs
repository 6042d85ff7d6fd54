//! The data of the sample shops: products, places, people and currencies.

use fastrand::Rng;
use serde_json::{Value, json};

/// A currency, with an approximate exchange rate.
#[derive(Debug, PartialEq)]
pub(super) struct Currency {
    /// The ISO 4217 code.
    pub(super) code: &'static str,
    /// The number of units per euro.
    pub(super) per_euro: f64,
    /// The number of the smallest units per unit: 100, or 1 for a currency without cents.
    pub(super) minor_units: f64,
}

impl Currency {
    /// Converts a price in euro cents to this currency, in its smallest unit.
    pub(super) fn price(&self, cents: i64) -> i64 {
        (cents as f64 / 100.0 * self.per_euro * self.minor_units).round() as i64
    }

    /// Returns an amount as `shop.v1.Money`.
    pub(super) fn money(&self, amount_minor: i64) -> Value {
        json!({ "currency": self.code, "amountMinor": amount_minor })
    }
}

const EUR: Currency = Currency { code: "EUR", per_euro: 1.0, minor_units: 100.0 };
const GBP: Currency = Currency { code: "GBP", per_euro: 0.86, minor_units: 100.0 };
const JPY: Currency = Currency { code: "JPY", per_euro: 162.5, minor_units: 1.0 };
const PLN: Currency = Currency { code: "PLN", per_euro: 4.27, minor_units: 100.0 };
const SEK: Currency = Currency { code: "SEK", per_euro: 11.3, minor_units: 100.0 };
const USD: Currency = Currency { code: "USD", per_euro: 1.09, minor_units: 100.0 };

/// A city where shoppers live.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) city: &'static str,
    /// The ISO 3166-1 alpha-2 code.
    pub(super) country: &'static str,
    pub(super) postal_code: &'static str,
    /// Street addresses in the local notation, with `#` for the house number.
    pub(super) streets: &'static [&'static str],
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    pub(super) currency: Currency,
    /// The BCP 47 tag.
    pub(super) language: &'static str,
    /// A telephone number with `#` for each random digit. The number is from a range reserved for fiction if the
    /// country has one.
    pub(super) phone: &'static str,
    /// The tax on goods, in percent.
    pub(super) tax_percent: i64,
    /// The names of people, and the local parts of their email addresses.
    pub(super) people: &'static [(&'static str, &'static str)],
}

pub(super) const PLACES: &[Place] = &[
    Place {
        city: "Amsterdam",
        country: "NL",
        postal_code: "1016 HJ",
        streets: &["Prinsengracht #", "Tweede Tuindwarsstraat #", "Elandsgracht #-hs"],
        latitude: 52.3745,
        longitude: 4.8813,
        currency: EUR,
        language: "nl-NL",
        phone: "+3120555####",
        tax_percent: 21,
        people: &[
            ("Zoë van den Berg", "zoe.vandenberg"),
            ("Daan de Wit", "daan.dewit"),
            ("Fatima El Amrani", "f.elamrani"),
        ],
    },
    Place {
        city: "München",
        country: "DE",
        postal_code: "80469",
        streets: &["Müllerstraße #", "Klenzestraße #", "Am Glockenbach #"],
        latitude: 48.1299,
        longitude: 11.5717,
        currency: EUR,
        language: "de-DE",
        phone: "+498999998###",
        tax_percent: 19,
        people: &[
            ("Jürgen Groß", "juergen.gross"),
            ("Anna-Lena Vogt", "annalena.vogt"),
            ("Emre Yıldız", "emre.yildiz"),
        ],
    },
    Place {
        city: "Lyon",
        country: "FR",
        postal_code: "69001",
        streets: &["# rue de la République", "# quai Saint-Vincent", "# montée de la Grande Côte"],
        latitude: 45.7676,
        longitude: 4.8344,
        currency: EUR,
        language: "fr-FR",
        phone: "+3346571####",
        tax_percent: 20,
        people: &[("Chloé Lefèvre", "chloe.lefevre"), ("Hugo Marchand", "hugo.marchand"), ("Aïcha Benali", "a.benali")],
    },
    Place {
        city: "Leeds",
        country: "GB",
        postal_code: "LS1 4DY",
        streets: &["# Park Row", "# Kirkgate", "Flat #, 12 Brewery Wharf"],
        latitude: 53.7974,
        longitude: -1.5438,
        currency: GBP,
        language: "en-GB",
        phone: "+441134960###",
        tax_percent: 20,
        people: &[
            ("Oliver Hughes", "oliver.hughes"),
            ("Priya Nair", "priya.nair"),
            ("Siân O’Connell", "sian.oconnell"),
        ],
    },
    Place {
        city: "Portland",
        country: "US",
        postal_code: "97205",
        streets: &["# SW Morrison St", "# NW Flanders St", "# SE Hawthorne Blvd"],
        latitude: 45.5202,
        longitude: -122.6742,
        currency: USD,
        language: "en-US",
        phone: "+150355501##",
        tax_percent: 0,
        people: &[("Grace Kim", "grace.kim"), ("José Ramírez", "jose.ramirez"), ("Tyler Brooks", "tbrooks")],
    },
    Place {
        city: "東京都中央区",
        country: "JP",
        postal_code: "104-0061",
        streets: &["銀座5丁目6-#", "築地2丁目1-#"],
        latitude: 35.6717,
        longitude: 139.765,
        currency: JPY,
        language: "ja-JP",
        phone: "+813555#####",
        tax_percent: 10,
        people: &[("佐藤 美咲", "misaki.sato"), ("田中 健一", "kenichi.tanaka")],
    },
    Place {
        city: "Kraków",
        country: "PL",
        postal_code: "31-042",
        streets: &["ul. Floriańska #", "ul. Świętego Tomasza #/4"],
        latitude: 50.0632,
        longitude: 19.9398,
        currency: PLN,
        language: "pl-PL",
        phone: "+4812555####",
        tax_percent: 23,
        people: &[("Łukasz Wójcik", "lukasz.wojcik"), ("Małgorzata Zając", "m.zajac")],
    },
    Place {
        city: "Göteborg",
        country: "SE",
        postal_code: "411 06",
        streets: &["Östra Hamngatan #", "Magasinsgatan #"],
        latitude: 57.7054,
        longitude: 11.968,
        currency: SEK,
        language: "sv-SE",
        phone: "+463139006##",
        tax_percent: 25,
        people: &[("Åsa Lindqvist", "asa.lindqvist"), ("Björn Åkesson", "bjorn.akesson")],
    },
];

/// A product that the shops sell.
#[derive(Debug)]
pub(super) struct Product {
    pub(super) sku: &'static str,
    pub(super) title: &'static str,
    /// The price in euro cents.
    pub(super) cents: i64,
    pub(super) weight_kg: f64,
    /// The options that the shopper chooses: name and possible values.
    pub(super) choices: &'static [(&'static str, &'static [&'static str])],
}

const CLOTHES: &[(&str, &[&str])] =
    &[("size", &["XS", "S", "M", "L", "XL"]), ("colour", &["navy", "ecru", "forest green", "terracotta"])];
const SHOES: &[(&str, &[&str])] = &[("size", &["37", "38", "39", "41", "42", "43", "45"])];

pub(super) const PRODUCTS: &[Product] = &[
    Product { sku: "TSH-0417", title: "Organic cotton T-shirt", cents: 2495, weight_kg: 0.18, choices: CLOTHES },
    Product { sku: "HOD-1120", title: "Brushed fleece hoodie", cents: 6900, weight_kg: 0.62, choices: CLOTHES },
    Product { sku: "RNC-0088", title: "Rain jacket, 3-layer", cents: 17900, weight_kg: 0.41, choices: CLOTHES },
    Product { sku: "SNK-3302", title: "Trail runner “Fjäll”", cents: 12995, weight_kg: 0.74, choices: SHOES },
    Product { sku: "BOT-3310", title: "Waxed leather boot", cents: 18900, weight_kg: 1.35, choices: SHOES },
    Product { sku: "SCK-0005", title: "Merino socks (3 pairs)", cents: 2250, weight_kg: 0.15, choices: &[] },
    Product { sku: "MUG-0731", title: "Stoneware mug, 35 cl", cents: 1450, weight_kg: 0.38, choices: &[] },
    Product { sku: "TPT-0740", title: "Cast-iron teapot 急須", cents: 5400, weight_kg: 1.6, choices: &[] },
    Product { sku: "COF-2001", title: "Crème café, whole beans, 1 kg", cents: 1899, weight_kg: 1.0, choices: &[] },
    Product { sku: "CHO-2017", title: "Dark chocolate 72 %, 100 g", cents: 395, weight_kg: 0.1, choices: &[] },
    Product { sku: "NBK-5104", title: "Dotted notebook A5", cents: 1295, weight_kg: 0.3, choices: &[] },
    Product { sku: "PEN-5118", title: "Fountain pen, nib F", cents: 4900, weight_kg: 0.03, choices: &[] },
    Product {
        sku: "LMP-6002",
        title: "Desk lamp, dimmable",
        cents: 7950,
        weight_kg: 1.9,
        choices: &[("plug", &["EU", "UK", "US"])],
    },
    Product {
        sku: "HPH-6610",
        title: "Wireless headphones",
        cents: 24900,
        weight_kg: 0.27,
        choices: &[("colour", &["black", "sand"])],
    },
    Product { sku: "CBL-6677", title: "USB-C cable, 2 m", cents: 1290, weight_kg: 0.06, choices: &[] },
    Product {
        sku: "BAG-7700",
        title: "Canvas backpack, 22 l",
        cents: 8900,
        weight_kg: 0.85,
        choices: &[("colour", &["olive", "black"])],
    },
    Product { sku: "PLT-8003", title: "Monstera deliciosa, 60 cm", cents: 3450, weight_kg: 4.2, choices: &[] },
    Product { sku: "BKE-9001", title: "Folding bike, 7 gears", cents: 89900, weight_kg: 11.8, choices: &[] },
];

/// Returns a random element of `all`, which must not be empty.
pub(super) fn pick<'a, T>(random: &mut Rng, all: &'a [T]) -> &'a T {
    &all[random.usize(..all.len())]
}

/// Replaces each `#` in `pattern` by a random digit.
pub(super) fn digits(random: &mut Rng, pattern: &str) -> String {
    pattern.chars().map(|c| if c == '#' { random.digit(10) } else { c }).collect()
}

/// Returns `prefix` followed by 26 characters that look like a ULID.
pub(super) fn ulid(random: &mut Rng, prefix: &str) -> String {
    const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut id = String::with_capacity(prefix.len() + 26);
    id.push_str(prefix);
    // A ULID has 128 bits: 25 characters of 5 bits, and a first character of 3 bits, which is at most 7.
    id.push(char::from(CROCKFORD[random.usize(..8)]));
    id.extend((1..26).map(|_| char::from(*pick(random, CROCKFORD))));
    id
}
