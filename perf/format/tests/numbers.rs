//! Numbers, times and kernels are what the file says.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use cp1_format::{Amount, CpuQuota, Decimal, NumberError, Timestamp, kernel_major_minor};
use proptest::prelude::*;

fn decimal(literal: &str) -> Decimal {
    Decimal::parse(literal).unwrap()
}

#[test]
fn one_tenth_is_one_tenth_and_not_the_nearest_binary_fraction() {
    let sum = decimal("0.1").exact() + decimal("0.2").exact();
    assert_eq!(&sum, decimal("0.3").exact());
    assert_ne!(0.1 + 0.2, 0.3);
}

#[test]
fn an_exponent_is_a_spelling_and_no_other_number() {
    for (literal, shown) in
        [("1e3", "1000"), ("1.50E+2", "150"), ("25e-4", "0.0025"), ("-1e-2", "-0.01"), ("0e9", "0")]
    {
        assert_eq!(decimal(literal), decimal(shown));
        assert_eq!(decimal(&decimal(literal).to_string()), decimal(literal));
    }
}

#[test]
fn what_is_no_number_is_said_to_be_none() {
    for literal in
        ["", "-", "NaN", "Infinity", "-inf", "\"5\"", "true", "null", "[1]", "{}", "+1", ".5"]
    {
        let refused = Decimal::parse(literal).unwrap_err();
        assert!(matches!(refused, NumberError::NotANumber { .. }), "{literal}: {refused}");
    }
}

#[test]
fn a_number_that_would_be_costly_is_refused() {
    let long = "1".repeat(65);
    for literal in ["1e31", "1e-31", "1e999999999999999999999", "1e", "1e--1", &long] {
        assert_eq!(Decimal::parse(literal), Err(NumberError::OutOfRange), "{literal}");
    }
    for literal in ["1e30", "1e-30", &long[1..]] {
        decimal(literal);
    }
}

#[test]
fn an_amount_is_zero_or_more() {
    assert!(matches!(Amount::parse("-0.0000001"), Err(NumberError::Negative(_))));
    for zero in ["0", "-0", "0.000", "0e7"] {
        assert!(Amount::parse(zero).unwrap().is_zero(), "{zero}");
    }
}

#[test]
fn rounding_is_half_up_in_decimal() {
    let rounded = |literal: &str| Decimal::rounded(decimal(literal).exact(), 2).to_string();
    assert_eq!(rounded("1.005"), "1.01");
    assert_eq!(rounded("1.00499999999999"), "1.00");
    assert_eq!(rounded("-1.005"), "-1.01");
    assert_eq!(rounded("7"), "7.00");
}

#[test]
fn only_utc_in_the_form_of_rfc_3339_is_a_timestamp() {
    for text in ["2026-01-31T12:00:00Z", "2024-02-29T23:59:59.999999Z"] {
        assert_eq!(Timestamp::parse(text).unwrap().to_string(), text);
    }
    for text in [
        "",
        "Z",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31T12:00:00+00:00",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:00:00Z ",
        "../2026-01-31T12:00:00Z",
    ] {
        assert_eq!(Timestamp::parse(text), None, "{text}");
    }
}

#[test]
fn timestamps_are_ordered_by_time_and_not_by_text() {
    let time = |text| Timestamp::parse(text).unwrap();
    assert!(time("2026-01-31T12:00:00.5Z") > time("2026-01-31T12:00:00Z"));
    assert!(time("2026-01-31T12:00:00.10Z") > time("2026-01-31T12:00:00.09Z"));
    assert_eq!(time("2026-01-31T12:00:00.5Z").compact(), "20260131T1200005Z");
}

#[test]
fn a_quota_is_a_number_of_processors_or_none() {
    for (text, shown) in [
        ("none", "none"),
        ("3.5", "3.5"),
        ("3.50", "3.5"),
        ("2", "2"),
        ("10", "10"),
        ("0.001", "0.001"),
        ("18446744073709551.615", "18446744073709551.615"),
    ] {
        assert_eq!(CpuQuota::parse(text).unwrap().to_string(), shown);
    }
    assert_eq!(CpuQuota::parse("3.5"), CpuQuota::parse("3.500"));
    for wrong in
        ["", "0", "0.000", "max", "None", "-1", "+1", "1.", ".5", "1.5000", "1e3", " 1", "1.5.1"]
    {
        assert_eq!(CpuQuota::parse(wrong), None, "{wrong:?}");
    }
    assert_eq!(CpuQuota::parse("18446744073709551616"), None);
}

#[test]
fn a_kernel_is_known_by_name_and_the_first_two_numbers() {
    for (kernel, short) in [
        ("Linux 6.1.0-18-amd64", "Linux 6.1"),
        ("Linux 6.12", "Linux 6.12"),
        ("Linux 6.1-rc3", "Linux 6.1"),
        ("Linux", "Linux"),
        ("Linux six.one", "Linux six.one"),
        ("", ""),
    ] {
        assert_eq!(kernel_major_minor(kernel), short);
    }
}

proptest! {
    #[test]
    fn a_plain_spelling_is_preserved(literal in "(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?") {
        prop_assert_eq!(decimal(&literal).to_string(), literal.as_str());
        let json: Decimal = serde_json::from_str(&literal).unwrap();
        prop_assert_eq!(serde_json::to_string(&json).unwrap(), literal);
    }

    #[test]
    fn decimals_are_ordered_as_numbers(a in -1_000_000i64..1_000_000, b in -1_000_000i64..1_000_000) {
        let thousandths = |n: i64| decimal(&format!("{n}e-3"));
        prop_assert_eq!(thousandths(a).cmp(&thousandths(b)), a.cmp(&b));
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Decimal::parse(&text);
        let _ = Timestamp::parse(&text);
        let _ = kernel_major_minor(&text);
        let _ = CpuQuota::parse(&text);
    }
}
