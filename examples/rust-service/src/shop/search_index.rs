//! Full-text search over the catalogue: forgiving about typing errors, ranked by BM25.

use std::collections::HashMap;

use serde::Serialize;

use super::catalogue::{Catalogue, Product};

/// The most words of a query that are looked at.
const QUERY_WORDS: usize = 8;
/// The longest word that is compared letter by letter.
const WORD_BYTES: usize = 24;
const HITS: usize = 20;
/// BM25: how soon a word's repeats stop counting, and how much long texts are held back.
const SATURATION: f32 = 1.2;
const LENGTH_WEIGHT: f32 = 0.75;

/// The words of all products, and where they stand.
#[derive(Debug)]
pub struct SearchIndex {
    terms: Vec<Term>,
    ids: Vec<u32>,
    lengths: Vec<f32>,
    mean_length: f32,
}

/// One word and the documents it stands in.
#[derive(Debug)]
struct Term {
    text: String,
    postings: Vec<Posting>,
}

#[derive(Debug)]
struct Posting {
    document: usize,
    count: f32,
}

/// One product that was found.
#[derive(Debug, Serialize)]
pub struct Hit {
    /// Which product.
    pub id: u32,
    /// How well it fits; only comparable within one search.
    pub score: f32,
}

impl SearchIndex {
    /// Indexes names, descriptions and reviews.
    pub fn build(catalogue: &Catalogue) -> Self {
        let mut words: HashMap<String, Vec<Posting>> = HashMap::new();
        let mut ids = Vec::new();
        let mut lengths = Vec::new();
        for (document, product) in catalogue.products().iter().enumerate() {
            let tokens = product_tokens(product);
            ids.push(product.id);
            lengths.push(tokens.len() as f32);
            for token in tokens {
                add_posting(words.entry(token).or_default(), document);
            }
        }
        let mut terms: Vec<Term> =
            words.into_iter().map(|(text, postings)| Term { text, postings }).collect();
        terms.sort_unstable_by(|a, b| a.text.cmp(&b.text));
        let mean_length = lengths.iter().sum::<f32>() / lengths.len().max(1) as f32;
        Self { terms, ids, lengths, mean_length }
    }

    /// Returns the products that fit `query` best, the best first; at most 20.
    pub fn search(&self, query: &str) -> Vec<Hit> {
        let mut scores = vec![0.0; self.ids.len()];
        for token in tokenise(query).iter().take(QUERY_WORDS) {
            for (term, closeness) in self.expand_typos(token) {
                self.score_postings(term, closeness, &mut scores);
            }
        }
        self.rank(&scores)
    }

    /// Finds the known words that `token` may stand for, and how sure that is (0 to 1).
    #[inline(never)]
    fn expand_typos(&self, token: &str) -> Vec<(&Term, f32)> {
        if let Ok(place) = self.terms.binary_search_by(|term| term.text.as_str().cmp(token)) {
            return self.terms.get(place).map(|term| (term, 1.0)).into_iter().collect();
        }
        let allowed = if token.len() < 6 { 1 } else { 2 };
        let near = self.terms.iter().filter_map(|term| {
            let distance = edit_distance(token, &term.text, allowed)?;
            Some((term, 1.0 / (1.0 + distance as f32)))
        });
        near.collect()
    }

    /// Adds BM25 of one word to the score of each document it stands in.
    #[inline(never)]
    fn score_postings(&self, term: &Term, closeness: f32, scores: &mut [f32]) {
        let documents = self.ids.len() as f32;
        let holding = term.postings.len() as f32;
        let rarity = (1.0 + (documents - holding + 0.5) / (holding + 0.5)).ln();
        for Posting { document, count } in &term.postings {
            let length = self.lengths.get(*document).copied().unwrap_or(self.mean_length);
            let held_back = 1.0 - LENGTH_WEIGHT + LENGTH_WEIGHT * length / self.mean_length;
            if let Some(score) = scores.get_mut(*document) {
                let weight = count * (SATURATION + 1.0) / (count + SATURATION * held_back);
                *score += closeness * rarity * weight;
            }
        }
    }

    #[inline(never)]
    fn rank(&self, scores: &[f32]) -> Vec<Hit> {
        let found = self.ids.iter().zip(scores).filter(|(_, score)| **score > 0.0);
        let mut hits: Vec<Hit> = found.map(|(id, score)| Hit { id: *id, score: *score }).collect();
        hits.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
        hits.truncate(HITS);
        hits
    }
}

fn product_tokens(product: &Product) -> Vec<String> {
    let mut tokens = tokenise(&product.name);
    tokens.extend(tokenise(product.category));
    tokens.extend(tokenise(&product.description));
    for review in &product.reviews {
        tokens.extend(tokenise(&review.text));
    }
    tokens
}

fn add_posting(postings: &mut Vec<Posting>, document: usize) {
    match postings.last_mut() {
        Some(last) if last.document == document => last.count += 1.0,
        _ => postings.push(Posting { document, count: 1.0 }),
    }
}

/// Splits `text` into lower-case words of letters and digits.
#[inline(never)]
pub fn tokenise(text: &str) -> Vec<String> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// Counts the bytes to insert, delete or replace between two words, if at most `allowed`.
#[inline(never)]
fn edit_distance(a: &str, b: &str, allowed: usize) -> Option<usize> {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > allowed || a.len() > WORD_BYTES || b.len() > WORD_BYTES {
        return None;
    }
    let mut row: [usize; WORD_BYTES + 1] = std::array::from_fn(|column| column);
    for (line, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    Some(row[b.len()]).filter(|distance| *distance <= allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_counts_edits_and_gives_up_beyond_the_allowed() {
        for (a, b, allowed, expected) in [
            ("walnut", "walnut", 2, Some(0)),
            ("walnutt", "walnut", 2, Some(1)),
            ("wlanut", "walnut", 2, Some(2)),
            ("kitten", "sitting", 3, Some(3)),
            ("kitten", "sitting", 2, None),
            ("", "ab", 2, Some(2)),
            ("short", "muchlongerword", 2, None),
        ] {
            assert_eq!(edit_distance(a, b, allowed), expected, "{a} {b}");
        }
    }

    #[test]
    fn a_search_with_typing_errors_finds_what_was_meant() {
        let catalogue = Catalogue::generate();
        let index = SearchIndex::build(&catalogue);
        for query in ["walnut", "wallnut", "WALNUT!"] {
            let hits = index.search(query);
            assert_eq!(hits.len(), HITS, "{query}");
            for hit in hits {
                let product = catalogue.find_product(hit.id).unwrap();
                assert!(product_tokens(product).contains(&"walnut".to_owned()), "{query}");
            }
        }
        assert!(index.search("").is_empty());
        assert!(index.search("xxxxxxxxxxxxxxxxxx").is_empty());
    }

    #[test]
    fn a_product_with_both_words_comes_before_one_with_a_single_word() {
        let catalogue = Catalogue::generate();
        let index = SearchIndex::build(&catalogue);
        let first = &index.search("walnut lamps")[0];
        let product = catalogue.find_product(first.id).unwrap();
        assert_eq!(product.category, "lamps");
        assert!(product.name.contains("walnut"));
    }
}
