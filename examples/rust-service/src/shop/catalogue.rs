//! The products, and which of them belong together.

use serde::Serialize;

use super::words::{CATEGORIES, MATERIALS, PROSE, QUALITIES, SYLLABLES};
use crate::error::{Error, Kind, Result};
use crate::random::Random;

/// How many products there are.
pub const PRODUCTS: u32 = 2_000;

/// The lowest product id; ids have no gaps.
pub const FIRST_ID: u32 = 1_000;

const REVIEWS: u32 = 12;
const RELATED: usize = 8;

/// One product.
#[derive(Debug, Serialize)]
pub struct Product {
    /// Unique, from [`FIRST_ID`].
    pub id: u32,
    /// Maker, quality, material and kind.
    pub name: String,
    /// One of [`CATEGORIES`].
    pub category: &'static str,
    /// Price before tax, in cents.
    pub price_cents: u32,
    /// Weight with packaging, in grams.
    pub grams: u32,
    /// A few sentences.
    pub description: String,
    /// What buyers said.
    pub reviews: Vec<Review>,
    /// The word numbers of the description, sorted, without repeats.
    #[serde(skip)]
    traits: Vec<u16>,
}

/// What one buyer said.
#[derive(Debug, Serialize)]
pub struct Review {
    /// From 1 to 5.
    pub stars: u32,
    /// A sentence.
    pub text: String,
}

/// A product that is like another one.
#[derive(Debug, Serialize)]
pub struct Related<'c> {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: &'c str,
    /// How alike they are: 0 not at all, 1 the same.
    pub likeness: f32,
}

/// All products.
#[derive(Debug)]
pub struct Catalogue {
    products: Vec<Product>,
}

impl Catalogue {
    /// Makes the same [`PRODUCTS`] products every time.
    pub fn generate() -> Self {
        let mut random = Random::new(20);
        let products = (FIRST_ID..FIRST_ID + PRODUCTS).map(|id| product(id, &mut random)).collect();
        Self { products }
    }

    /// Returns every product, by rising id.
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// Looks a product up.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such id.
    #[inline(never)]
    pub fn find_product(&self, id: u32) -> Result<&Product> {
        let place = self.products.binary_search_by_key(&id, |product| product.id);
        place
            .ok()
            .and_then(|place| self.products.get(place))
            .ok_or_else(|| Error::new(Kind::NotFound, format!("no product {id}")))
    }

    /// Returns the products most like `product`, the most alike first.
    ///
    /// Compares it with the whole catalogue: 2,000 comparisons of about 20 words.
    #[inline(never)]
    pub fn related_products(&self, product: &Product) -> Vec<Related<'_>> {
        let others = self.products.iter().filter(|other| other.id != product.id);
        let mut scored: Vec<(f32, &Product)> =
            others.map(|other| (likeness(product, other), other)).collect();
        scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.id.cmp(&b.1.id)));
        scored.truncate(RELATED);
        scored
            .into_iter()
            .map(|(likeness, other)| Related { id: other.id, name: &other.name, likeness })
            .collect()
    }
}

/// The shared part of two descriptions' words, plus a little for the same category.
#[inline(never)]
fn likeness(a: &Product, b: &Product) -> f32 {
    let shared = shared_traits(&a.traits, &b.traits);
    let all = a.traits.len() + b.traits.len() - shared;
    let same_category = if a.category == b.category { 0.2 } else { 0.0 };
    0.8 * shared as f32 / all.max(1) as f32 + same_category
}

/// Counts what two sorted lists have in common.
fn shared_traits(mut a: &[u16], mut b: &[u16]) -> usize {
    let mut shared = 0;
    while let ([first_a, rest_a @ ..], [first_b, rest_b @ ..]) = (a, b) {
        shared += usize::from(first_a == first_b);
        if first_a <= first_b {
            a = rest_a;
        }
        if first_b <= first_a {
            b = rest_b;
        }
    }
    shared
}

fn product(id: u32, random: &mut Random) -> Product {
    let category = CATEGORIES[(id as usize) % CATEGORIES.len()];
    let material = random.pick(&MATERIALS);
    let quality = random.pick(&QUALITIES);
    let kind = category.trim_end_matches('s');
    let description = prose(random, 24);
    let mut traits: Vec<u16> = description
        .split(' ')
        .filter_map(|word| PROSE.iter().position(|known| *known == word))
        .filter_map(|place| u16::try_from(place).ok())
        .collect();
    traits.sort_unstable();
    traits.dedup();
    let reviews = (0..REVIEWS)
        .map(|_| Review { stars: 1 + random.below(5), text: prose(random, 10) })
        .collect();
    Product {
        id,
        name: format!("{} {quality} {material} {kind}", maker(random)),
        category,
        price_cents: 300 + random.below(30_000),
        grams: 100 + random.below(8_000),
        description: format!("A {quality} {kind} of {material}: {description}"),
        reviews,
        traits,
    }
}

fn maker(random: &mut Random) -> String {
    let syllables = [(); 3].map(|()| random.pick(&SYLLABLES));
    syllables.concat()
}

fn prose(random: &mut Random, words: usize) -> String {
    let words: Vec<&str> = (0..words).map(|_| random.pick(&PROSE)).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_found_and_no_other() {
        let catalogue = Catalogue::generate();
        for id in FIRST_ID..FIRST_ID + PRODUCTS {
            assert_eq!(catalogue.find_product(id).unwrap().id, id);
        }
        for id in [0, FIRST_ID - 1, FIRST_ID + PRODUCTS, u32::MAX] {
            assert_eq!(catalogue.find_product(id).unwrap_err().kind(), Kind::NotFound);
        }
    }

    #[test]
    fn related_products_come_most_alike_first_and_never_hold_the_product_itself() {
        let catalogue = Catalogue::generate();
        let product = catalogue.find_product(FIRST_ID + 77).unwrap();
        let related = catalogue.related_products(product);
        assert_eq!(related.len(), RELATED);
        assert!(related.windows(2).all(|pair| pair[0].likeness >= pair[1].likeness));
        assert!(related.iter().all(|other| other.id != product.id));
        let best = related[0].likeness;
        let others = catalogue.products().iter().filter(|other| other.id != product.id);
        assert!(others.into_iter().all(|other| likeness(product, other) <= best));
    }

    #[test]
    fn shared_traits_are_those_in_both_lists() {
        assert_eq!(shared_traits(&[1, 3, 5, 9], &[0, 3, 4, 9, 12]), 2);
        assert_eq!(shared_traits(&[], &[1]), 0);
    }
}
