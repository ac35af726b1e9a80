//! The catalogue as CSV, page by page, and compressed.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::catalogue::Product;
use crate::error::{Error, Kind, Result};

/// Writes one page of CSV: a line for each review of each product.
#[inline(never)]
pub fn product_page(products: &[&Product]) -> String {
    let mut page = String::new();
    for product in products {
        for review in &product.reviews {
            write_number(&mut page, product.id);
            write_text(&mut page, &product.name);
            write_text(&mut page, product.category);
            write_number(&mut page, product.price_cents);
            write_number(&mut page, review.stars);
            write_text(&mut page, &review.text);
            page.pop();
            page.push('\n');
        }
    }
    page
}

/// Compresses pages into one gzip stream until `next_page` returns `None`.
///
/// Uses the fast level: an export is compressed for one download only.
///
/// # Errors
/// When the stream cannot be written.
#[inline(never)]
pub fn compress_pages(mut next_page: impl FnMut() -> Option<String>) -> Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let failed = |source| Error::during(Kind::Io, "compress the export")(source);
    gzip.write_all(b"id,name,category,price_cents,stars,review\n").map_err(failed)?;
    while let Some(page) = next_page() {
        gzip.write_all(page.as_bytes()).map_err(failed)?;
    }
    gzip.finish().map_err(failed)
}

fn write_number(page: &mut String, number: u32) {
    page.push_str(&number.to_string());
    page.push(',');
}

/// Writes a quoted field; a quote inside is written twice (RFC 4180).
#[inline(never)]
fn write_text(page: &mut String, text: &str) {
    page.push('"');
    for letter in text.chars() {
        if letter == '"' {
            page.push('"');
        }
        page.push(letter);
    }
    page.push_str("\",");
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::shop::Catalogue;

    #[test]
    fn quotes_and_commas_stay_inside_their_field() {
        let mut page = String::new();
        write_text(&mut page, r#"a "b", c"#);
        assert_eq!(page, r#""a ""b"", c","#);
    }

    #[test]
    fn compressed_pages_come_back_as_the_same_lines() {
        let catalogue = Catalogue::generate();
        let some: Vec<_> = catalogue.products().iter().take(10).collect();
        let mut pages = some.chunks(4).map(product_page);
        let gzip = compress_pages(|| pages.next()).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&gzip[..]).read_to_string(&mut text).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 10 * 12);
        assert_eq!(lines[0].split(',').count(), 6);
        assert!(lines[1..].iter().all(|line| line.split(',').count() == 6));
        assert!(lines[120].starts_with(&some[9].id.to_string()));
    }
}
