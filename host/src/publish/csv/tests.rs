//! Records, their faults, what ends them, and the payloads they become.

use super::*;
use proptest::prelude::*;
use std::io::{BufReader, Cursor};

type Found = (u64, String, Result<Vec<String>, (usize, String)>);

fn open(text: &[u8], row_max: usize, chunk: usize) -> Result<CsvRows, HeaderError> {
    let input = Box::new(BufReader::with_capacity(chunk, Cursor::new(text.to_vec())));
    CsvRows::new(input, row_max, Some("NA")).map(|(rows, _)| rows)
}

fn rows(text: &[u8], row_max: usize, chunk: usize) -> Vec<Found> {
    let mut rows = open(text, row_max, chunk).unwrap();
    let mut all = Vec::new();
    while let Some(row) = rows.next_row().unwrap() {
        let values = row.values.map_err(|fault| (fault.offset, fault.reason)).map(|values| match values {
            Values::Csv(record) => (0..record.ends.len()).map(|index| record.get(index).unwrap().to_owned()).collect(),
            Values::Json(_) => unreachable!(),
        });
        all.push((row.line, String::from_utf8_lossy(&row.raw).into_owned(), values));
    }
    all
}

fn good(line: u64, raw: &str, values: &[&str]) -> Found {
    (line, raw.to_owned(), Ok(values.iter().map(|value| (*value).to_owned()).collect()))
}

#[test]
fn records_with_quotes_line_breaks_and_any_line_end() {
    let text = "\u{feff}a,b\r\n1,\"x, \"\"y\"\"\"\r\n\r\n\"two\nlines\",3\n\n\n,\n\"end\",ü".as_bytes();
    for chunk in [1, 2, 5, 300] {
        let expected = [
            good(2, "1,\"x, \"\"y\"\"\"", &["1", "x, \"y\""]),
            good(4, "\"two\nlines\",3", &["two\nlines", "3"]),
            good(8, ",", &["", ""]),
            good(9, "\"end\",ü", &["end", "ü"]),
        ];
        assert_eq!(rows(text, 100, chunk), expected, "{chunk}");
    }
}

#[test]
fn what_is_no_row_is_told_with_its_place_and_reading_goes_on() {
    let long = "x".repeat(40);
    let text = [b"a,b\n1\n1,2,3\n\"q\nr\",\xFF\n".as_slice(), format!("{long},\"{long}\n{long}\"\n7,8").as_bytes()].concat();
    for chunk in [1, 4, 300] {
        let found = rows(&text, 30, chunk);
        let fault = |at: usize| found[at].2.clone().unwrap_err();
        assert_eq!((found[0].0, fault(0).0), (2, 1));
        assert!(fault(0).1.contains("has 1 values and the header has 2"));
        assert_eq!((found[1].0, fault(1).0), (3, 4), "the third value");
        assert_eq!((found[2].0, fault(2).0), (4, 6));
        assert!(fault(2).1.contains("not UTF-8"));
        assert_eq!(found[3].0, 6);
        assert!(fault(3).1.contains("longer than 30 bytes") && found[3].1.len() <= 30);
        assert_eq!(found[4], good(8, "7,8", &["7", "8"]));
    }
}

#[test]
fn bytes_that_are_no_text_are_told_also_where_two_values_would_make_one() {
    let found = rows(b"a,b\n\xC3,\xA9\nx,y\n", 30, 4);
    assert_eq!(found[0].2.clone().unwrap_err(), (0, "not UTF-8; the input must be UTF-8".to_owned()));
    assert_eq!(found[1], good(3, "x,y", &["x", "y"]));
    assert!(matches!(open(b"\xC3,\xA9\n", 10, 8), Err(HeaderError::Bad(_))));
}

/// How the input's last row is told: what ended it, and what is wrong with it?
fn last(text: &str, row_max: usize, chunk: usize) -> (RowEnd, Option<(u64, usize, String)>) {
    let mut rows = open(text.as_bytes(), row_max, chunk).unwrap();
    let mut last = None;
    while let Some(row) = rows.next_row().unwrap() {
        last = Some((row.end, row.values.err().map(|fault| (row.line, fault.offset, fault.reason))));
    }
    last.unwrap()
}

#[test]
fn a_quotation_mark_that_is_not_closed_is_a_fault_where_it_stands() {
    for chunk in [1, 3, 300] {
        for text in ["a,b\n1,2\n3,\"x\n4,5\n6,7\n", "a,b\n1,2\n3,\"x\n4,5\n6,7"] {
            let (end, fault) = last(text, 100, chunk);
            let (line, offset, reason) = fault.unwrap();
            assert_eq!((end, line, offset), (RowEnd::OpenQuote, 3, 2), "{text:?}");
            assert!(reason.contains("quotation mark is not closed"), "{reason}");
        }
        let (end, fault) = last("a,b\n1,2\n3,\"x", 100, chunk);
        assert!(end == RowEnd::Input && fault.unwrap().2.contains("not closed"), "within one line the rest may be on its way");
        assert!(last("a,b\n\"x\n\n\n\n\n\n\n\n\n", 5, chunk).1.unwrap().2.contains("longer than 5 bytes"));
    }
}

#[test]
fn a_last_line_without_its_end_is_told() {
    for chunk in [1, 3, 300] {
        for text in ["1,2\n", "1,2\r", "1,2\r\n\n"] {
            assert_eq!(last(&format!("a,b\n{text}"), 100, chunk), (RowEnd::Line, None), "{text:?}");
        }
        for text in ["1,2", "1,\"2\"", "1,"] {
            assert_eq!(last(&format!("a,b\n{text}"), 100, chunk), (RowEnd::Input, None), "{text:?}");
        }
        let full = "1,2,".repeat(60);
        let header: Vec<_> = (0..121).map(|column| format!("c{column}")).collect();
        assert_eq!(
            last(&format!("{}\n{full}", header.join(",")), 1000, chunk),
            (RowEnd::Input, None),
            "more values than there was room for"
        );
    }
}

#[test]
fn empty_lines_are_not_kept() {
    let text = format!("a,b\n{}1,2\n", "\r\n".repeat(5000));
    assert_eq!(rows(text.as_bytes(), 3, 100), [good(5002, "1,2", &["1", "2"])]);
    let mut raw = b"\r\n\nx\n".to_vec();
    assert_eq!((drop_leading(&mut raw), raw.as_slice()), (2, b"x\n".as_slice()));
}

#[test]
fn a_header_is_needed_and_each_name_once() {
    assert!(matches!(open(b"", 10, 8), Err(HeaderError::Missing)));
    assert!(matches!(open(b"\n\n", 10, 8), Err(HeaderError::Missing)));
    assert!(matches!(open(b"a,b,a\n", 10, 8), Err(HeaderError::Twice(name)) if name == "a"));
    assert!(matches!(open(b"a\xFF\n", 10, 8), Err(HeaderError::Bad(_))));
    assert!(matches!(open(b"aaaaaaaaaaaaaaaa\n", 10, 8), Err(HeaderError::Bad(_))));
}

fn payload(values: &[(&str, Option<Type>)]) -> Result<String, (usize, String)> {
    let header: Vec<_> = (0..values.len()).map(|at| format!("c{at}")).collect();
    let types: Vec<_> = values
        .iter()
        .enumerate()
        .filter_map(|(index, (_, kind))| kind.map(|kind| (Field::Column { name: String::new(), index }, kind)))
        .collect();
    let mut record = Record { null: Some("NA".into()), ..Record::default() };
    for (value, _) in values {
        record.text.push_str(value);
        record.ends.push(record.text.len());
    }
    Payload::new(&header, &types).write(&record).map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn values_are_text_unless_a_type_is_given() {
    let text = payload(&[("007", None), ("1E5", None), ("NA", None), ("", None), ("a\"\n", None)]).unwrap();
    assert_eq!(text, r#"{"c0":"007","c1":"1E5","c2":"NA","c3":"","c4":"a\"\n"}"#);
    let (integer, number, boolean) = (Some(Type::Integer), Some(Type::Number), Some(Type::Boolean));
    let text = payload(&[("0517", integer), ("-2", integer), ("18446744073709551615", integer), ("NA", integer), ("", number)]).unwrap();
    assert_eq!(text, r#"{"c0":517,"c1":-2,"c2":18446744073709551615,"c3":null,"c4":null}"#);
    let text = payload(&[("1.10", number), ("7", number), (".5", number), ("1e3", number), ("TRUE", boolean), ("false", boolean)]).unwrap();
    assert_eq!(text, r#"{"c0":1.10,"c1":7,"c2":0.5,"c3":1e3,"c4":true,"c5":false}"#);
    for (value, kind) in
        [("1.5", integer), ("x", integer), ("99999999999999999999", integer), ("1e999", number), ("NaN", number), ("1", boolean)]
    {
        assert_eq!(payload(&[("", None), (value, kind)]).unwrap_err().0, 1, "{value}");
    }
}

#[test]
fn what_is_kept_of_a_long_row_is_its_beginning_however_the_bytes_come() {
    let text = b"h,i\n\",\r\r\r,\na\n\xC3\xBC,\n \n \n,\r\r\n\n\"";
    for chunk in [1, 2, 5, 4096] {
        let found = rows(text, 20, chunk);
        assert_eq!(found[0].1.as_bytes(), &text[4..24], "{chunk}");
    }
}

proptest! {
    #[test]
    fn reading_does_not_depend_on_how_the_bytes_come(text in "[a,\"\n\r \u{fc}]{0,60}", chunk in 1_usize..9) {
        let text = format!("h,i\n{text}");
        prop_assert_eq!(rows(text.as_bytes(), 20, chunk), rows(text.as_bytes(), 20, 4096));
    }
}
